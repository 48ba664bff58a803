//! Questions that wait for the asker's second tap.

use osm_protocol::action::Chore;
use serde::{Deserialize, Serialize};

use super::{Result, Tx, execute, from_json, on, to_json};
use crate::domain::Millis;

pub const OPEN: &str = "open";
pub const CONFIRMED: &str = "confirmed";
pub const DECLINED: &str = "declined";

/// What is to be confirmed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Asks {
    Restart { unit: String },
    Chore { chore: Chore },
    Remove {},
}

#[derive(Clone, Debug)]
pub struct Confirmation {
    pub id: String,
    pub chat_id: i64,
    pub user_id: i64,
    pub actor_name: String,
    pub server_id: String,
    pub asks: Asks,
    pub expires_at: Millis,
    pub state: String,
    pub message_id: String,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: String,
    chat_id: i64,
    user_id: i64,
    actor_name: String,
    server_id: String,
    asks: String,
    expires_at: i64,
    state: String,
    message_id: String,
}

pub async fn insert(tx: &mut Tx, confirmation: &Confirmation) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO confirmations (id, chat_id, user_id, actor_name, server_id, asks, expires_at, state, message_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        )
        .bind(&confirmation.id)
        .bind(confirmation.chat_id)
        .bind(confirmation.user_id)
        .bind(&confirmation.actor_name)
        .bind(&confirmation.server_id)
        .bind(to_json(&confirmation.asks))
        .bind(confirmation.expires_at)
        .bind(&confirmation.state)
        .bind(&confirmation.message_id)
    )?;
    Ok(())
}

pub async fn get(tx: &mut Tx, chat_id: i64, id: &str) -> Result<Option<Confirmation>> {
    let row: Option<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT id, chat_id, user_id, actor_name, server_id, asks, expires_at, state, message_id
         FROM confirmations WHERE chat_id = $1 AND id = $2")
        .bind(chat_id).bind(id).fetch_optional(conn).await)?;
    row.map(|row| {
        Ok(Confirmation {
            asks: from_json("asks", &row.asks)?,
            id: row.id,
            chat_id: row.chat_id,
            user_id: row.user_id,
            actor_name: row.actor_name,
            server_id: row.server_id,
            expires_at: row.expires_at,
            state: row.state,
            message_id: row.message_id,
        })
    })
    .transpose()
}

/// Answers an open question once: false when it was answered before.
pub async fn answer(tx: &mut Tx, id: &str, state: &str) -> Result<bool> {
    let done =
        execute!(tx, sqlx::query("UPDATE confirmations SET state = $2 WHERE id = $1 AND state = 'open'").bind(id).bind(state))?;
    Ok(done == 1)
}

/// Closes what was not answered in time: id, chat and message of each.
pub async fn expire(tx: &mut Tx, now: Millis) -> Result<Vec<(String, i64, String)>> {
    on!(tx, conn => sqlx::query_as(
        "UPDATE confirmations SET state = 'expired' WHERE state = 'open' AND expires_at <= $1 RETURNING id, chat_id, message_id")
        .bind(now).fetch_all(conn).await)
}

/// Closes the open questions about a server: id, chat and message of each.
pub async fn close(tx: &mut Tx, server_id: &str) -> Result<Vec<(String, i64, String)>> {
    on!(tx, conn => sqlx::query_as(
        "UPDATE confirmations SET state = 'expired' WHERE state = 'open' AND server_id = $1 RETURNING id, chat_id, message_id")
        .bind(server_id).fetch_all(conn).await)
}

pub async fn any_due(tx: &mut Tx, now: Millis) -> Result<bool> {
    let found: Option<i64> = on!(tx, conn => sqlx::query_scalar("SELECT expires_at FROM confirmations WHERE state = 'open' AND expires_at <= $1 LIMIT 1")
        .bind(now).fetch_optional(conn).await)?;
    Ok(found.is_some())
}

pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM confirmations WHERE expires_at < $1 AND state <> 'open'").bind(before))?;
    Ok(())
}
