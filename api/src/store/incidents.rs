//! Alerts, from firing to their end.

use std::collections::HashSet;

use sqlx::QueryBuilder;

use super::db::{
    Result, Tx, execute, from_json,
    in_list::{AT_ONCE, InList as _},
    on, to_json,
};
use crate::domain::{
    Millis,
    alert::{Limits, Rule, Severity},
    ids::{ChatId, IncidentId, MessageId, ServerId},
    incident::{EndTold, Incident},
};

#[derive(sqlx::FromRow)]
struct Row {
    id: IncidentId,
    chat_id: ChatId,
    server_id: ServerId,
    server_name: String,
    rule: String,
    subject: String,
    severity: String,
    limit_value: f64,
    lower_value: f64,
    hold: i64,
    value: f64,
    processes: String,
    since: i64,
    opened_at: i64,
    times: i64,
    quiet_since: Option<i64>,
    calm_at: Option<i64>,
    resolved_at: Option<i64>,
    acked_by: Option<String>,
    snoozed_until: Option<i64>,
    remind_at: Option<i64>,
    reminders: i64,
    message_id: Option<MessageId>,
    end_told: String,
    recovery_id: Option<MessageId>,
}

impl Row {
    /// `None`: of another version of the backend.
    fn into_incident(self) -> Option<Incident> {
        Some(Incident {
            rule: Rule::parse(&self.rule)?,
            limits: Limits {
                enabled: true,
                limit: self.limit_value,
                lower: self.lower_value,
                hold: self.hold,
                severity: Severity::parse(&self.severity),
            },
            processes: from_json("processes", &self.processes).ok()?,
            id: self.id,
            chat_id: self.chat_id,
            server_id: self.server_id,
            server_name: self.server_name,
            subject: self.subject,
            value: self.value,
            since: self.since,
            opened_at: self.opened_at,
            times: self.times,
            quiet_since: self.quiet_since,
            calm_at: self.calm_at,
            resolved_at: self.resolved_at,
            acked_by: self.acked_by,
            snoozed_until: self.snoozed_until,
            remind_at: self.remind_at,
            reminders: self.reminders,
            message_id: self.message_id,
            end: end(&self.end_told, self.recovery_id)?,
        })
    }
}

const NOT_YET: &str = "not-yet";
const NEVER: &str = "never";
const TOLD: &str = "told";

fn columns(end: EndTold) -> (&'static str, Option<MessageId>) {
    match end {
        EndTold::NotYet => (NOT_YET, None),
        EndTold::Never => (NEVER, None),
        EndTold::By(message_id) => (TOLD, Some(message_id)),
    }
}

fn end(told: &str, recovery_id: Option<MessageId>) -> Option<EndTold> {
    match told {
        NOT_YET => Some(EndTold::NotYet),
        NEVER => Some(EndTold::Never),
        TOLD => recovery_id.map(EndTold::By),
        _ => None,
    }
}

/// A query for incidents with the end of its statement: conditions on `i`.
macro_rules! select {
    ($end:literal) => {
        concat!(
            "SELECT i.id, i.chat_id, i.server_id, s.name AS server_name, i.rule, i.subject, i.severity, i.limit_value,
                 i.lower_value, i.hold, i.value, i.processes, i.since, i.opened_at, i.times, i.quiet_since, i.calm_at,
                 i.resolved_at,
                 i.acked_by, i.snoozed_until, i.remind_at, i.reminders, i.message_id, i.end_told, i.recovery_id
             FROM incidents i JOIN servers s ON s.id = i.server_id ",
            $end
        )
    };
}

fn all(rows: Vec<Row>) -> Vec<Incident> {
    rows.into_iter().filter_map(Row::into_incident).collect()
}

/// Writes a new one, as it begins.
pub async fn insert(tx: &mut Tx, incident: &Incident) -> Result<()> {
    let (end_told, recovery_id) = columns(incident.end);
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO incidents (id, chat_id, server_id, rule, subject, severity, limit_value, lower_value, hold, value,
             processes,
                 since, opened_at, times, reminders, resolved_at, remind_at, message_id, end_told, recovery_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, $15, $16, $17, $18, $19)"
        )
        .bind(incident.id)
        .bind(incident.chat_id)
        .bind(incident.server_id)
        .bind(incident.rule.as_str())
        .bind(&incident.subject)
        .bind(incident.limits.severity.as_str())
        .bind(incident.limits.limit)
        .bind(incident.limits.lower)
        .bind(incident.limits.hold)
        .bind(incident.value)
        .bind(to_json(&incident.processes))
        .bind(incident.since)
        .bind(incident.opened_at)
        .bind(incident.times)
        .bind(incident.resolved_at)
        .bind(incident.remind_at)
        .bind(incident.message_id)
        .bind(end_told)
        .bind(recovery_id)
    )?;
    Ok(())
}

/// Writes what may change in an incident's life. What is told of its end is written by [`set_end`].
pub async fn update(tx: &mut Tx, incident: &Incident) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "UPDATE incidents SET times = $2, quiet_since = $3, calm_at = $4, resolved_at = $5, acked_by = $6, snoozed_until = $7,
                 remind_at = $8, reminders = $9, message_id = $10, severity = $11, since = $12, value = $13, processes = $14,
                 limit_value = $15, lower_value = $16, hold = $17
             WHERE id = $1"
        )
        .bind(incident.id)
        .bind(incident.times)
        .bind(incident.quiet_since)
        .bind(incident.calm_at)
        .bind(incident.resolved_at)
        .bind(&incident.acked_by)
        .bind(incident.snoozed_until)
        .bind(incident.remind_at)
        .bind(incident.reminders)
        .bind(incident.message_id)
        .bind(incident.limits.severity.as_str())
        .bind(incident.since)
        .bind(incident.value)
        .bind(to_json(&incident.processes))
        .bind(incident.limits.limit)
        .bind(incident.limits.lower)
        .bind(incident.limits.hold)
    )?;
    Ok(())
}

pub async fn get(tx: &mut Tx, chat_id: ChatId, id: IncidentId) -> Result<Option<Incident>> {
    let row: Option<Row> = on!(tx, conn => sqlx::query_as(select!("WHERE i.chat_id = $1 AND i.id = $2"))
        .bind(chat_id).bind(id).fetch_optional(conn).await)?;
    Ok(row.and_then(Row::into_incident))
}

/// Gives the newest about this, if it is open or was until after `since`.
pub async fn newest(tx: &mut Tx, server_id: ServerId, rule: Rule, subject: &str, since: Millis) -> Result<Option<Incident>> {
    let row: Option<Row> = on!(tx, conn => sqlx::query_as(select!(
        "WHERE i.server_id = $1 AND i.rule = $2 AND i.subject = $3 AND (i.resolved_at IS NULL OR i.resolved_at > $4)
         ORDER BY (i.resolved_at IS NULL) DESC, i.opened_at DESC, i.id DESC LIMIT 1"))
        .bind(server_id).bind(rule.as_str()).bind(subject).bind(since).fetch_optional(conn).await)?;
    Ok(row.and_then(Row::into_incident))
}

/// Gives what one message shows.
pub async fn of_message(tx: &mut Tx, chat_id: ChatId, message_id: MessageId) -> Result<Vec<Incident>> {
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(select!("WHERE i.chat_id = $1 AND i.message_id = $2 ORDER BY i.id"))
        .bind(chat_id).bind(message_id).fetch_all(conn).await)?;
    Ok(all(rows))
}

/// Tells whether anything that a message shows is still open.
pub async fn any_open_of_message(tx: &mut Tx, message_id: MessageId) -> Result<bool> {
    let found: Option<IncidentId> = on!(tx, conn => sqlx::query_scalar(
        "SELECT id FROM incidents WHERE message_id = $1 AND resolved_at IS NULL LIMIT 1")
        .bind(message_id).fetch_optional(conn).await)?;
    Ok(found.is_some())
}

/// Gives what a message shows and is over, and the servers of that.
pub async fn over_in_message(tx: &mut Tx, message_id: MessageId) -> Result<Vec<(IncidentId, ServerId)>> {
    on!(tx, conn => sqlx::query_as("SELECT id, server_id FROM incidents WHERE message_id = $1 AND resolved_at IS NOT NULL ORDER BY id")
        .bind(message_id).fetch_all(conn).await)
}

/// Notes that a chat heard of these only when they were over, in the message that told that they began: their end is not told
/// again.
pub async fn heard_as_over(tx: &mut Tx, ids: &[IncidentId]) -> Result<()> {
    for ids in ids.chunks(AT_ONCE) {
        on!(tx, conn => {
            let mut query = QueryBuilder::new("UPDATE incidents SET end_told = 'never', recovery_id = NULL WHERE NOT EXISTS (
                SELECT 1 FROM messages m WHERE m.id = incidents.recovery_id AND m.told_at IS NOT NULL) AND id");
            query.push_in(ids);
            query.build().execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}

/// Lists a chat's alerts of which nobody has heard yet: Telegram has not taken the message that shows them.
pub async fn unheard(tx: &mut Tx, chat_id: ChatId) -> Result<HashSet<IncidentId>> {
    let ids: Vec<IncidentId> = on!(tx, conn => sqlx::query_scalar(
        "SELECT i.id FROM incidents i JOIN messages m ON m.id = i.message_id WHERE i.chat_id = $1 AND m.told_at IS NULL")
        .bind(chat_id).fetch_all(conn).await)?;
    Ok(ids.into_iter().collect())
}

/// Lets what is open, and what nobody has heard of because its message waited in vain since before a time, be told anew.
pub async fn tell_anew(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "UPDATE incidents SET message_id = NULL WHERE resolved_at IS NULL AND message_id IN (
                 SELECT o.message_id FROM outbox o JOIN messages m ON m.id = o.message_id
                 WHERE o.created_at < $1 AND m.told_at IS NULL)"
        )
        .bind(before)
    )?;
    Ok(())
}

/// Gives what one message tells to be over.
pub async fn of_recovery(tx: &mut Tx, chat_id: ChatId, recovery_id: MessageId) -> Result<Vec<Incident>> {
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(select!("WHERE i.chat_id = $1 AND i.recovery_id = $2 ORDER BY i.id"))
        .bind(chat_id).bind(recovery_id).fetch_all(conn).await)?;
    Ok(all(rows))
}

/// Messages that show a server's alert as something that is not over, or whose end was told to nobody.
pub async fn live_messages(tx: &mut Tx, server_id: ServerId) -> Result<Vec<MessageId>> {
    on!(tx, conn => sqlx::query_scalar(
        "SELECT DISTINCT message_id FROM incidents
         WHERE server_id = $1 AND message_id IS NOT NULL AND (resolved_at IS NULL OR end_told = 'not-yet') ORDER BY message_id")
        .bind(server_id).fetch_all(conn).await)
}

/// An alert that is over, and whose end was told to nobody.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Untold {
    pub id: IncidentId,
    pub server_id: ServerId,
    pub resolved_at: Millis,
}

/// Gives what a message shows, is over, and was told to nobody; what was over first comes first.
pub async fn untold_ends(tx: &mut Tx, message_id: MessageId) -> Result<Vec<Untold>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT id, server_id, resolved_at FROM incidents
         WHERE message_id = $1 AND resolved_at IS NOT NULL AND end_told = 'not-yet' ORDER BY resolved_at, id")
        .bind(message_id).fetch_all(conn).await)
}

/// Messages of which something was over before a time and told to nobody.
pub async fn messages_with_untold_ends(tx: &mut Tx, before: Millis) -> Result<Vec<(ChatId, MessageId)>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT DISTINCT chat_id, message_id FROM incidents
         WHERE end_told = 'not-yet' AND message_id IS NOT NULL AND resolved_at <= $1 ORDER BY chat_id, message_id")
        .bind(before).fetch_all(conn).await)
}

/// Notes what was told of the end of these.
pub async fn set_end(tx: &mut Tx, ids: &[IncidentId], end: EndTold) -> Result<()> {
    let (end_told, recovery_id) = columns(end);
    for ids in ids.chunks(AT_ONCE) {
        on!(tx, conn => {
            let mut query = QueryBuilder::new("UPDATE incidents SET end_told = ");
            query.push_bind(end_told).push(", recovery_id = ").push_bind(recovery_id).push(" WHERE id").push_in(ids);
            query.build().execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}

pub async fn open_in_chat(tx: &mut Tx, chat_id: ChatId) -> Result<Vec<Incident>> {
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(select!("WHERE i.chat_id = $1 AND i.resolved_at IS NULL ORDER BY i.id"))
        .bind(chat_id).fetch_all(conn).await)?;
    Ok(all(rows))
}

pub async fn open_of_server(tx: &mut Tx, server_id: ServerId) -> Result<Vec<Incident>> {
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(select!("WHERE i.server_id = $1 AND i.resolved_at IS NULL ORDER BY i.id"))
        .bind(server_id).fetch_all(conn).await)?;
    Ok(all(rows))
}

/// Chats in which something is wrong that is to be repeated by now or was never told, or something has been well for long
/// enough.
pub async fn chats_due(tx: &mut Tx, now: Millis) -> Result<Vec<ChatId>> {
    on!(tx, conn => sqlx::query_scalar(
        "SELECT DISTINCT chat_id FROM incidents
         WHERE resolved_at IS NULL AND (calm_at <= $1 OR (quiet_since IS NULL AND (remind_at <= $1 OR message_id IS NULL)))
         ORDER BY chat_id")
        .bind(now).fetch_all(conn).await)
}

/// Gives a server's alerts to another chat, which has heard of none: what is open is told there anew, and what is over is
/// over.
pub async fn relocate(tx: &mut Tx, server_id: ServerId, to: ChatId) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "UPDATE incidents SET chat_id = $2, message_id = NULL,
                 end_told = CASE WHEN resolved_at IS NOT NULL AND end_told = 'not-yet' THEN 'never' ELSE end_told END
             WHERE server_id = $1"
        )
        .bind(server_id)
        .bind(to)
    )?;
    Ok(())
}

/// Drops what has been over for long.
pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM incidents WHERE resolved_at < $1").bind(before))?;
    Ok(())
}
