//! Questions that wait for the asker's second tap.

use super::db::{Result, Tx, execute, from_json, on, to_json};
use crate::domain::{
    Millis,
    confirmation::{Confirmation, State},
    ids::{ChatId, ConfirmationId, MessageId, ServerId, UserId},
};

pub async fn insert(tx: &mut Tx, confirmation: &Confirmation) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO confirmations (id, chat_id, user_id, actor_name, server_id, asks, expires_at, state, message_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        )
        .bind(confirmation.id)
        .bind(confirmation.chat_id)
        .bind(confirmation.user_id)
        .bind(&confirmation.actor_name)
        .bind(confirmation.server_id)
        .bind(to_json(&confirmation.asks))
        .bind(confirmation.expires_at)
        .bind(confirmation.state)
        .bind(confirmation.message_id)
    )?;
    Ok(())
}

pub async fn get(tx: &mut Tx, chat_id: ChatId, id: ConfirmationId) -> Result<Option<Confirmation>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        user_id: UserId,
        actor_name: String,
        server_id: ServerId,
        asks: String,
        expires_at: i64,
        state: State,
        message_id: MessageId,
    }
    let row: Option<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT user_id, actor_name, server_id, asks, expires_at, state, message_id FROM confirmations
         WHERE chat_id = $1 AND id = $2")
        .bind(chat_id).bind(id).fetch_optional(conn).await)?;
    let Some(Row { user_id, actor_name, server_id, asks, expires_at, state, message_id }) = row else { return Ok(None) };
    let asks = from_json("asks", &asks)?;
    Ok(Some(Confirmation { id, chat_id, user_id, actor_name, server_id, asks, expires_at, state, message_id }))
}

/// Answers an open question once: false when it was answered before.
pub async fn answer(tx: &mut Tx, id: ConfirmationId, answer: State) -> Result<bool> {
    let done = execute!(
        tx,
        sqlx::query("UPDATE confirmations SET state = $2 WHERE id = $1 AND state = $3").bind(id).bind(answer).bind(State::Open)
    )?;
    Ok(done == 1)
}

/// A question that was closed, and the message that asked it.
#[derive(Clone, Copy, Debug, sqlx::FromRow)]
pub struct Closed {
    pub id: ConfirmationId,
    pub chat_id: ChatId,
    pub message_id: MessageId,
}

/// Closes what was not answered in time.
pub async fn expire(tx: &mut Tx, now: Millis) -> Result<Vec<Closed>> {
    on!(tx, conn => sqlx::query_as(
        "UPDATE confirmations SET state = $2 WHERE state = $3 AND expires_at <= $1 RETURNING id, chat_id, message_id")
        .bind(now).bind(State::Expired).bind(State::Open).fetch_all(conn).await)
}

/// Closes the open questions about a server.
pub async fn close(tx: &mut Tx, server_id: ServerId) -> Result<Vec<Closed>> {
    on!(tx, conn => sqlx::query_as(
        "UPDATE confirmations SET state = $2 WHERE state = $3 AND server_id = $1 RETURNING id, chat_id, message_id")
        .bind(server_id).bind(State::Expired).bind(State::Open).fetch_all(conn).await)
}

pub async fn any_due(tx: &mut Tx, now: Millis) -> Result<bool> {
    let found: Option<i64> = on!(tx, conn => sqlx::query_scalar(
        "SELECT expires_at FROM confirmations WHERE state = $2 AND expires_at <= $1 LIMIT 1")
        .bind(now).bind(State::Open).fetch_optional(conn).await)?;
    Ok(found.is_some())
}

pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM confirmations WHERE expires_at < $1 AND state <> $2").bind(before).bind(State::Open))?;
    Ok(())
}
