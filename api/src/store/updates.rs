//! The inbox: what people asked for, until it is handled.

use super::db::{Result, Tx, execute, from_json, on, to_json, wake::Wake};
use crate::domain::{
    Millis, SECOND,
    ids::{ChatId, UpdateId},
    intent::{Intent, Request},
    update::State,
};

/// How long a worker may take with an update before another may try.
pub const CLAIM: Millis = 10_000;
/// An update that was begun this often and never finished crashes its worker.
pub const ATTEMPTS: i64 = 3;

pub struct Claimed {
    pub update_id: UpdateId,
    pub chat_id: ChatId,
    /// `None`: another version of the backend wrote it, and this one cannot read it.
    pub request: Option<Request>,
    pub attempts: i64,
}

/// Between two turns of one chat: whoever floods is behind everybody else who came within its seconds.
const TURN: Millis = SECOND;

/// Stores an update once. `before`: the turn of the newest one of its chat that waits.
pub async fn insert(tx: &mut Tx, update_id: UpdateId, request: &Request, before: Option<Millis>, now: Millis) -> Result<()> {
    let moves_to = match &request.intent {
        Intent::Migrated { to } => Some(*to),
        _ => None,
    };
    let turn = before.map_or(now, |before| now.max(before + TURN));
    let done = execute!(
        tx,
        sqlx::query(
            "INSERT INTO updates (update_id, chat_id, request, state, attempts, claimed_until, turn, moves_to, received_at)
         VALUES ($1, $2, $3, $5, 0, 0, $6, $7, $4) ON CONFLICT (update_id) DO NOTHING"
        )
        .bind(update_id)
        .bind(request.chat.id)
        .bind(to_json(request))
        .bind(now)
        .bind(State::Open)
        .bind(turn)
        .bind(moves_to)
    )?;
    if done == 1 {
        tx.wake(Wake::Inbox);
    }
    Ok(())
}

/// Tells whether anything can be claimed: the cheap look before [`claim`].
pub async fn any_open(tx: &mut Tx, now: Millis) -> Result<bool> {
    let found: Option<UpdateId> = on!(tx, conn => sqlx::query_scalar(
        "SELECT update_id FROM updates WHERE state = $2 AND claimed_until <= $1 LIMIT 1")
        .bind(now).bind(State::Open).fetch_optional(conn).await)?;
    Ok(found.is_some())
}

/// Claims the oldest open update of the chat whose turn it is.
pub async fn claim(tx: &mut Tx, now: Millis) -> Result<Option<Claimed>> {
    let row: Option<(UpdateId, ChatId, String, i64)> = on!(tx, conn => sqlx::query_as(
        "UPDATE updates SET attempts = attempts + 1, claimed_until = $1
         WHERE state = $3 AND claimed_until <= $2 AND update_id = (
             SELECT u.update_id FROM updates u WHERE u.state = $3 AND u.claimed_until <= $2 AND NOT EXISTS (
                 SELECT 1 FROM updates e WHERE e.state = $3 AND (e.chat_id = u.chat_id OR e.moves_to = u.chat_id)
                     AND e.update_id < u.update_id)
             ORDER BY u.turn, u.update_id LIMIT 1)
         RETURNING update_id, chat_id, request, attempts")
        .bind(now + CLAIM).bind(now).bind(State::Open).fetch_optional(conn).await)?;
    Ok(row.map(|(update_id, chat_id, request, attempts)| Claimed {
        update_id,
        chat_id,
        // Of a group that has become a supergroup meanwhile, the row knows the new id.
        request: from_json::<Request>("request", &request).ok().map(|mut request| {
            request.chat.id = chat_id;
            request
        }),
        attempts,
    }))
}

/// Ends an update and erases its payload. False when it is no longer this claim's.
pub async fn finish(tx: &mut Tx, claimed: &Claimed, end: State) -> Result<bool> {
    let done = execute!(
        tx,
        sqlx::query("UPDATE updates SET state = $3, request = NULL WHERE update_id = $1 AND state = $4 AND attempts = $2")
            .bind(claimed.update_id)
            .bind(claimed.attempts)
            .bind(end)
            .bind(State::Open)
    )?;
    Ok(done == 1)
}

/// After a crash of the only process that uses this database, nothing is claimed.
pub async fn release_all(tx: &mut Tx) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE updates SET claimed_until = 0 WHERE state = $1").bind(State::Open))?;
    Ok(())
}

/// Updates of a chat that wait, and the turn of the newest.
#[derive(sqlx::FromRow)]
pub struct Waiting {
    pub count: i64,
    pub turn: Option<Millis>,
}

pub async fn waiting(tx: &mut Tx, chat_id: ChatId) -> Result<Waiting> {
    on!(tx, conn => sqlx::query_as(
        "SELECT CAST(COUNT(*) AS BIGINT) AS count, MAX(turn) AS turn FROM updates WHERE state = $2 AND chat_id = $1")
        .bind(chat_id).bind(State::Open).fetch_one(conn).await)
}

pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM updates WHERE state <> $2 AND received_at < $1").bind(before).bind(State::Open))?;
    Ok(())
}
