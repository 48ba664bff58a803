//! Commands to agents, from queued to their end.

use osm_protocol::{action::Action, envelope::Envelope};

use super::{Result, Tx, execute, from_json, on, to_json};
use crate::domain::{
    Millis,
    command::{Command, State},
};

/// Commands that may wait for one server.
pub const WAITING_MAX: i64 = 20;

pub struct New<'a> {
    pub id: &'a str,
    pub server_id: &'a str,
    pub chat_id: i64,
    pub seq: i64,
    pub action: &'a Action,
    pub requested_by: &'a str,
    pub user_id: i64,
    pub envelope: &'a Envelope,
    pub created_at: Millis,
    pub expires_at: Millis,
    pub answer_by: Millis,
    pub message_id: &'a str,
}

/// A command on its way.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Open {
    pub id: String,
    pub server_id: String,
    pub chat_id: i64,
    pub state: String,
    pub expires_at: i64,
    pub answer_by: i64,
    pub message_id: String,
}

impl Open {
    pub fn state(&self) -> Option<State> {
        State::parse(&self.state)
    }
}

pub async fn insert(tx: &mut Tx, command: &New<'_>) -> Result<()> {
    execute!(tx, sqlx::query(
        "INSERT INTO commands (id, server_id, chat_id, seq, action, state, detail, requested_by, user_id, envelope, created_at,
             expires_at, answer_by, message_id) VALUES ($1, $2, $3, $4, $5, $6, '', $7, $8, $9, $10, $11, $12, $13)")
        .bind(command.id).bind(command.server_id).bind(command.chat_id).bind(command.seq).bind(to_json(command.action))
        .bind(State::Queued.as_str()).bind(command.requested_by).bind(command.user_id).bind(to_json(command.envelope))
        .bind(command.created_at).bind(command.expires_at).bind(command.answer_by).bind(command.message_id))?;
    Ok(())
}

pub async fn count_waiting(tx: &mut Tx, server_id: &str) -> Result<i64> {
    on!(tx, conn => sqlx::query_scalar(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM commands WHERE server_id = $1 AND state IN ('queued', 'delivered')")
        .bind(server_id).fetch_one(conn).await)
}

/// Whether anything waits for this server: the cheap look before [`hand_out`].
pub async fn any_waiting(tx: &mut Tx, server_id: &str, after: i64, now: Millis) -> Result<bool> {
    let found: Option<i64> = on!(tx, conn => sqlx::query_scalar(
        "SELECT seq FROM commands WHERE server_id = $1 AND seq > $2 AND expires_at > $3 AND state IN ('queued', 'delivered') LIMIT 1")
        .bind(server_id).bind(after).bind(now).fetch_optional(conn).await)?;
    Ok(found.is_some())
}

/// Hands out what waits for this server with a higher seq, in order. What was handed out before and is still valid is handed out
/// again: the answer may have been lost, and the agent's ledger knows what it has seen.
pub async fn hand_out(tx: &mut Tx, server_id: &str, after: i64, now: Millis) -> Result<Vec<(Open, Envelope)>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        open: Open,
        seq: i64,
        envelope: String,
    }
    // RETURNING gives the new state: what it was before is read first, under the same transaction.
    let mut rows: Vec<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT id, server_id, chat_id, state, expires_at, answer_by, message_id, seq, envelope FROM commands
         WHERE server_id = $1 AND seq > $2 AND expires_at > $3 AND state IN ('queued', 'delivered')")
        .bind(server_id).bind(after).bind(now).fetch_all(conn).await)?;
    rows.sort_by_key(|row| row.seq);
    let mut handed_out = Vec::with_capacity(rows.len());
    for row in rows {
        let moved = row.open.state() != Some(State::Queued)
            || transition(tx, &row.open.id, State::Queued, State::Delivered, None).await?;
        if moved {
            handed_out.push((row.open, from_json("envelope", &row.envelope)?));
        }
    }
    Ok(handed_out)
}

/// What an agent said of a command.
pub struct Finish<'a> {
    pub reason: Option<String>,
    pub detail: &'a str,
    pub at: Millis,
}

/// Moves a command from one state to another, once: false when it was no longer in the first.
pub async fn transition(tx: &mut Tx, id: &str, from: State, to: State, finish: Option<Finish<'_>>) -> Result<bool> {
    let (reason, detail, at) = finish.map_or((None, "", None), |finish| (finish.reason, finish.detail, Some(finish.at)));
    let done = execute!(
        tx,
        sqlx::query("UPDATE commands SET state = $3, reason = $4, detail = $5, finished_at = $6 WHERE id = $1 AND state = $2")
            .bind(id)
            .bind(from.as_str())
            .bind(to.as_str())
            .bind(reason)
            .bind(detail)
            .bind(at)
    )?;
    Ok(done == 1)
}

/// A command of this server.
pub async fn of_server(tx: &mut Tx, server_id: &str, id: &str) -> Result<Option<Open>> {
    on!(tx, conn => sqlx::query_as("SELECT id, server_id, chat_id, state, expires_at, answer_by, message_id FROM commands WHERE server_id = $1 AND id = $2")
        .bind(server_id).bind(id).fetch_optional(conn).await)
}

/// A reboot that this chat asked for.
pub async fn reboot(tx: &mut Tx, chat_id: i64, id: &str) -> Result<Option<Open>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT id, server_id, chat_id, state, expires_at, answer_by, message_id FROM commands
         WHERE chat_id = $1 AND id = $2 AND action = $3")
        .bind(chat_id).bind(id).bind(to_json(&Action::Reboot {})).fetch_optional(conn).await)
}

/// Whether this server was asked for this very action, and it is on its way or was done.
pub async fn is_asked(tx: &mut Tx, server_id: &str, action: &Action) -> Result<bool> {
    let found: Option<i64> = on!(tx, conn => sqlx::query_scalar(
        "SELECT seq FROM commands WHERE server_id = $1 AND action = $2 AND state IN ('queued', 'delivered', 'succeeded') LIMIT 1")
        .bind(server_id).bind(to_json(action)).fetch_optional(conn).await)?;
    Ok(found.is_some())
}

/// Commands of a server that nobody has fetched.
pub async fn queued(tx: &mut Tx, server_id: &str) -> Result<Vec<Open>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT id, server_id, chat_id, state, expires_at, answer_by, message_id FROM commands
         WHERE server_id = $1 AND state = 'queued' ORDER BY seq")
        .bind(server_id).fetch_all(conn).await)
}

/// Commands on their way whose time is over.
pub async fn due(tx: &mut Tx, now: Millis) -> Result<Vec<Open>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT id, server_id, chat_id, state, expires_at, answer_by, message_id FROM commands
         WHERE (state = 'queued' AND expires_at < $1) OR (state = 'delivered' AND answer_by < $1) ORDER BY expires_at LIMIT 100")
        .bind(now).fetch_all(conn).await)
}

pub async fn any_due(tx: &mut Tx, now: Millis) -> Result<bool> {
    Ok(!due(tx, now).await?.is_empty())
}

pub async fn get(tx: &mut Tx, chat_id: i64, id: &str) -> Result<Option<Command>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: String,
        server_id: String,
        server_name: String,
        action: String,
        state: String,
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
        state: State::parse(&row.state).ok_or_else(|| sqlx::Error::Decode(format!("state {}", row.state).into()))?,
        reason: row.reason.as_deref().map(|reason| from_json("reason", reason)).transpose()?,
        id: row.id,
        server_id: row.server_id,
        server_name: row.server_name,
        requested_by: row.requested_by,
        detail: row.detail,
        created_at: row.created_at,
        finished_at: row.finished_at,
    }))
}

/// Whether somebody here asked for a reboot of this server after `since` that the host took up.
pub async fn is_reboot_asked(tx: &mut Tx, server_id: &str, since: Millis) -> Result<bool> {
    let found: Option<String> = on!(tx, conn => sqlx::query_scalar(
        "SELECT id FROM commands WHERE server_id = $1 AND created_at > $2 AND action = $3
             AND state IN ('delivered', 'succeeded', 'unanswered') LIMIT 1")
        .bind(server_id).bind(since).bind(to_json(&Action::Reboot {})).fetch_optional(conn).await)?;
    Ok(found.is_some())
}

/// The newest command for a server with this action since a time.
pub async fn newest(tx: &mut Tx, server_id: &str, action: &Action, since: Millis) -> Result<Option<String>> {
    on!(tx, conn => sqlx::query_scalar(
        "SELECT id FROM commands WHERE server_id = $1 AND action = $2 AND created_at >= $3 ORDER BY seq DESC LIMIT 1")
        .bind(server_id).bind(to_json(action)).bind(since).fetch_optional(conn).await)
}

pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(
        tx,
        sqlx::query("DELETE FROM commands WHERE created_at < $1 AND state NOT IN ('queued', 'delivered')").bind(before)
    )?;
    Ok(())
}
