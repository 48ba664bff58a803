//! Commands to agents, from queued to their end.

use std::collections::HashSet;

use osm_protocol::{
    action::{Action, Rejection},
    envelope::Envelope,
};

use super::db::{Result, Tx, execute, from_json, on, to_json};
use crate::domain::{
    Millis,
    command::{Command, State},
    ids::{ChatId, CommandId, MessageId, ServerId, UserId},
};

/// Commands that may wait for one server.
pub const WAITING_MAX: i64 = 20;

pub struct New<'a> {
    pub id: CommandId,
    pub server_id: ServerId,
    pub chat_id: ChatId,
    pub seq: i64,
    pub action: &'a Action,
    pub requested_by: &'a str,
    pub user_id: UserId,
    pub envelope: &'a Envelope,
    pub created_at: Millis,
    pub expires_at: Millis,
    pub answer_by: Millis,
    pub message_id: MessageId,
}

/// A command on its way.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Open {
    pub id: CommandId,
    pub server_id: ServerId,
    pub chat_id: ChatId,
    pub state: State,
    pub created_at: i64,
    pub expires_at: i64,
    pub answer_by: i64,
    pub message_id: MessageId,
}

/// A query for commands on their way, with the end of its statement.
macro_rules! open {
    ($end:literal) => {
        concat!(
            "SELECT id, server_id, chat_id, state, created_at, expires_at, answer_by, message_id, action, seq, envelope
             FROM commands ",
            $end
        )
    };
}

pub async fn insert(tx: &mut Tx, command: &New<'_>) -> Result<()> {
    execute!(tx, sqlx::query(
        "INSERT INTO commands (id, server_id, chat_id, seq, action, state, detail, requested_by, user_id, envelope, created_at,
             expires_at, answer_by, message_id) VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, $9, $10, $11, $12, $13)")
        .bind(command.id).bind(command.server_id).bind(command.chat_id).bind(command.seq).bind(to_json(command.action))
        .bind(State::Queued).bind(command.requested_by).bind(command.user_id).bind(to_json(command.envelope))
        .bind(command.created_at).bind(command.expires_at).bind(command.answer_by).bind(command.message_id))?;
    Ok(())
}

pub async fn count_waiting(tx: &mut Tx, server_id: ServerId) -> Result<i64> {
    on!(tx, conn => sqlx::query_scalar(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM commands WHERE server_id = $1 AND state IN ('queued', 'delivered')")
        .bind(server_id).fetch_one(conn).await)
}

/// Tells whether anything waits for this server: the cheap look before [`hand_out`].
pub async fn any_waiting(tx: &mut Tx, server_id: ServerId, after: i64, now: Millis) -> Result<bool> {
    let found: Option<i64> = on!(tx, conn => sqlx::query_scalar(
        "SELECT seq FROM commands WHERE server_id = $1 AND seq > $2 AND expires_at > $3
         AND state IN ('queued', 'delivered') LIMIT 1")
        .bind(server_id).bind(after).bind(now).fetch_optional(conn).await)?;
    Ok(found.is_some())
}

/// Hands out what waits for this server with a higher seq, in order. What was handed out before and is still valid is handed out
/// again: the answer may have been lost, and the agent's ledger knows what it has seen.
pub async fn hand_out(tx: &mut Tx, server_id: ServerId, after: i64, now: Millis) -> Result<Vec<(Open, Envelope)>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        open: Open,
        seq: i64,
        envelope: String,
    }
    // RETURNING gives the new state: what it was before is read first, under the same transaction.
    let mut rows: Vec<Row> = on!(tx, conn => sqlx::query_as(
        open!("WHERE server_id = $1 AND seq > $2 AND expires_at > $3 AND state IN ('queued', 'delivered')"))
        .bind(server_id).bind(after).bind(now).fetch_all(conn).await)?;
    rows.sort_by_key(|row| row.seq);
    let mut handed_out = Vec::with_capacity(rows.len());
    for row in rows {
        // What was handed out before stays delivered; what is queued is handed out once.
        if row.open.state == State::Delivered || transition(tx, row.open.id, State::Queued, State::Delivered, None).await? {
            handed_out.push((row.open, from_json("envelope", &row.envelope)?));
        }
    }
    Ok(handed_out)
}

/// What an agent said of a command.
pub struct Finish<'a> {
    pub reason: Option<Rejection>,
    pub detail: &'a str,
    pub at: Millis,
}

/// Moves a command from one state to another, once: false when it was no longer in the first.
pub async fn transition(tx: &mut Tx, id: CommandId, from: State, to: State, finish: Option<Finish<'_>>) -> Result<bool> {
    let (reason, detail, at) =
        finish.map_or((None, "", None), |finish| (finish.reason.as_ref().map(to_json), finish.detail, Some(finish.at)));
    let done = execute!(
        tx,
        sqlx::query("UPDATE commands SET state = $3, reason = $4, detail = $5, finished_at = $6 WHERE id = $1 AND state = $2")
            .bind(id)
            .bind(from)
            .bind(to)
            .bind(reason)
            .bind(detail)
            .bind(at)
    )?;
    Ok(done == 1)
}

/// Gives a command of this server.
pub async fn of_server(tx: &mut Tx, server_id: ServerId, id: CommandId) -> Result<Option<Open>> {
    on!(tx, conn => sqlx::query_as(open!("WHERE server_id = $1 AND id = $2"))
        .bind(server_id).bind(id).fetch_optional(conn).await)
}

/// Gives a command of this chat that is on its way or over, with what was asked for.
pub async fn of_chat(tx: &mut Tx, chat_id: ChatId, id: CommandId) -> Result<Option<(Open, Action)>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        open: Open,
        action: String,
    }
    let row: Option<Row> = on!(tx, conn => sqlx::query_as(
        open!("WHERE chat_id = $1 AND id = $2"))
        .bind(chat_id).bind(id).fetch_optional(conn).await)?;
    row.map(|row| Ok((row.open, from_json("action", &row.action)?))).transpose()
}

/// Commands of a server that nobody has fetched.
pub async fn queued(tx: &mut Tx, server_id: ServerId) -> Result<Vec<Open>> {
    on!(tx, conn => sqlx::query_as(
        open!("WHERE server_id = $1 AND state = 'queued' ORDER BY seq"))
        .bind(server_id).fetch_all(conn).await)
}

/// Commands on their way whose time is over.
pub async fn due(tx: &mut Tx, now: Millis) -> Result<Vec<Open>> {
    on!(tx, conn => sqlx::query_as(
        open!("WHERE (state = 'queued' AND expires_at < $1) OR (state = 'delivered' AND answer_by < $1)
             ORDER BY expires_at LIMIT 100"))
        .bind(now).fetch_all(conn).await)
}

pub async fn any_due(tx: &mut Tx, now: Millis) -> Result<bool> {
    Ok(!due(tx, now).await?.is_empty())
}

/// Gives a command as its chat sees it.
pub async fn get(tx: &mut Tx, chat_id: ChatId, id: CommandId) -> Result<Option<Command>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: CommandId,
        server_id: ServerId,
        server_name: String,
        action: String,
        state: State,
        requested_by: String,
        reason: Option<String>,
        detail: String,
        created_at: i64,
        finished_at: Option<i64>,
    }
    let row: Option<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT c.id, c.server_id, s.name AS server_name, c.action, c.state, c.requested_by, c.reason, c.detail, c.created_at,
             c.finished_at FROM commands c JOIN servers s ON s.id = c.server_id WHERE c.chat_id = $1 AND c.id = $2")
        .bind(chat_id).bind(id).fetch_optional(conn).await)?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Command {
        action: from_json("action", &row.action)?,
        reason: row.reason.as_deref().map(|reason| from_json("reason", reason)).transpose()?,
        id: row.id,
        server_id: row.server_id,
        server_name: row.server_name,
        state: row.state,
        requested_by: row.requested_by,
        detail: row.detail,
        created_at: row.created_at,
        finished_at: row.finished_at,
    }))
}

/// What a server was asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    pub id: CommandId,
    pub action: Action,
    pub state: State,
}

impl Asked {
    /// Tells whether it is a reboot that the host may have done.
    pub fn is_taken_up_reboot(&self) -> bool {
        matches!(self.action, Action::Reboot {}) && self.state.may_have_acted()
    }
}

/// Lists what a server was asked for at a time or later, newest first. An action that this version cannot read is left out.
pub async fn asked(tx: &mut Tx, server_id: ServerId, since: Millis) -> Result<Vec<Asked>> {
    let rows: Vec<(CommandId, String, State)> = on!(tx, conn => sqlx::query_as(
        "SELECT id, action, state FROM commands WHERE server_id = $1 AND created_at >= $2 ORDER BY seq DESC")
        .bind(server_id).bind(since).fetch_all(conn).await)?;
    let readable =
        rows.into_iter().filter_map(|(id, action, state)| Some(Asked { id, action: from_json("action", &action).ok()?, state }));
    Ok(readable.collect())
}

/// Lists the servers on which a reboot that was asked for after a time may be under way: once the host is back, its command is
/// ended.
pub async fn rebooting(tx: &mut Tx, since: Millis) -> Result<HashSet<ServerId>> {
    let rows: Vec<(ServerId, String)> = on!(tx, conn => sqlx::query_as(
        "SELECT server_id, action FROM commands WHERE created_at > $1 AND state IN ('delivered', 'unanswered')")
        .bind(since).fetch_all(conn).await)?;
    let reboots = rows.into_iter().filter(|(_, action)| matches!(from_json("action", action), Ok(Action::Reboot {})));
    Ok(reboots.map(|(server_id, _)| server_id).collect())
}

pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(
        tx,
        sqlx::query("DELETE FROM commands WHERE created_at < $1 AND state NOT IN ('queued', 'delivered')").bind(before)
    )?;
    Ok(())
}
