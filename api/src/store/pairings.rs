//! Pairing tokens, by their hash.

use super::db::{Result, Tx, execute, on};
use crate::domain::{
    Millis,
    ids::{ChatId, MessageId, PairingId, ServerId, TopicId, UserId},
};

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Pairing {
    pub id: PairingId,
    pub chat_id: ChatId,
    pub user_id: UserId,
    pub name: String,
    pub expires_at: i64,
    pub used_by_key: Option<String>,
    pub server_id: Option<ServerId>,
    pub message_id: MessageId,
    pub topic: Option<TopicId>,
}

pub struct New<'a> {
    pub id: PairingId,
    pub chat_id: ChatId,
    pub user_id: UserId,
    pub name: &'a str,
    pub token_hash: &'a str,
    pub created_at: Millis,
    pub expires_at: Millis,
    pub message_id: MessageId,
    pub topic: Option<TopicId>,
}

pub async fn insert(tx: &mut Tx, pairing: &New<'_>) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO pairings (id, chat_id, user_id, name, token_hash, created_at, expires_at, tried_by_other, message_id, message_open, topic)
         VALUES ($1, $2, $3, $4, $5, $6, $7, FALSE, $8, TRUE, $9)"
        )
        .bind(pairing.id)
        .bind(pairing.chat_id)
        .bind(pairing.user_id)
        .bind(pairing.name)
        .bind(pairing.token_hash)
        .bind(pairing.created_at)
        .bind(pairing.expires_at)
        .bind(pairing.message_id)
        .bind(pairing.topic)
    )?;
    Ok(())
}

/// Uses a token up, in one guarded UPDATE: the first key to come while it is open has it.
pub async fn consume(tx: &mut Tx, token_hash: &str, key: &str, server_id: ServerId, now: Millis) -> Result<Option<Pairing>> {
    on!(tx, conn => sqlx::query_as(
        "UPDATE pairings SET used_by_key = $2, server_id = $3 WHERE token_hash = $1 AND used_by_key IS NULL AND expires_at > $4
         RETURNING id, chat_id, user_id, name, expires_at, used_by_key, server_id, message_id, topic")
        .bind(token_hash).bind(key).bind(server_id).bind(now).fetch_optional(conn).await)
}

/// Gives the pairing that this key made with this token: its lost answer may be given again.
pub async fn used_by(tx: &mut Tx, token_hash: &str, key: &str) -> Result<Option<Pairing>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT id, chat_id, user_id, name, expires_at, used_by_key, server_id, message_id, topic
         FROM pairings WHERE token_hash = $1 AND used_by_key = $2")
        .bind(token_hash).bind(key).fetch_optional(conn).await)
}

/// Notes that somebody else came with a used token. Gives its pairing the first time.
pub async fn note_other(tx: &mut Tx, token_hash: &str, key: &str) -> Result<Option<Pairing>> {
    on!(tx, conn => sqlx::query_as(
        "UPDATE pairings SET tried_by_other = TRUE
         WHERE token_hash = $1 AND used_by_key IS NOT NULL AND used_by_key <> $2 AND tried_by_other = FALSE
         RETURNING id, chat_id, user_id, name, expires_at, used_by_key, server_id, message_id, topic")
        .bind(token_hash).bind(key).fetch_optional(conn).await)
}

/// Gives a pairing that this person asked for.
pub async fn get(tx: &mut Tx, user_id: UserId, id: PairingId) -> Result<Option<Pairing>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT id, chat_id, user_id, name, expires_at, used_by_key, server_id, message_id, topic FROM pairings WHERE user_id = $1
         AND id = $2")
        .bind(user_id).bind(id).fetch_optional(conn).await)
}

/// Tokens of this person that can still be used.
pub async fn count_open(tx: &mut Tx, user_id: UserId, now: Millis) -> Result<i64> {
    on!(tx, conn => sqlx::query_scalar(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM pairings WHERE user_id = $1 AND used_by_key IS NULL AND expires_at > $2")
        .bind(user_id).bind(now).fetch_one(conn).await)
}

/// Gives the chat that a token was made in.
pub async fn chat_of(tx: &mut Tx, token_hash: &str) -> Result<Option<ChatId>> {
    on!(tx, conn => sqlx::query_scalar("SELECT chat_id FROM pairings WHERE token_hash = $1")
        .bind(token_hash).fetch_optional(conn).await)
}

/// Lets the open tokens of a chat die; tells how many there were.
pub async fn end_in(tx: &mut Tx, chat_id: ChatId, now: Millis) -> Result<u64> {
    execute!(
        tx,
        sqlx::query("UPDATE pairings SET expires_at = $2 WHERE chat_id = $1 AND used_by_key IS NULL AND expires_at > $2")
            .bind(chat_id)
            .bind(now)
    )
}

/// Lists whose tokens can still be used.
pub async fn with_open_tokens(tx: &mut Tx, now: Millis) -> Result<Vec<UserId>> {
    on!(tx, conn => sqlx::query_scalar(
        "SELECT DISTINCT user_id FROM pairings WHERE used_by_key IS NULL AND expires_at > $1 ORDER BY user_id")
        .bind(now).fetch_all(conn).await)
}

/// Lets a person's open tokens die; tells how many there were.
pub async fn end_of(tx: &mut Tx, user_id: UserId, now: Millis) -> Result<u64> {
    execute!(
        tx,
        sqlx::query("UPDATE pairings SET expires_at = $2 WHERE user_id = $1 AND used_by_key IS NULL AND expires_at > $2")
            .bind(user_id)
            .bind(now)
    )
}

/// Marks the messages of dead tokens as closed, and returns them: each is to be edited, so that the token is gone.
pub async fn close_dead(tx: &mut Tx, now: Millis) -> Result<Vec<Pairing>> {
    on!(tx, conn => sqlx::query_as(
        "UPDATE pairings SET message_open = FALSE WHERE message_open = TRUE AND (expires_at <= $1 OR used_by_key IS NOT NULL)
         RETURNING id, chat_id, user_id, name, expires_at, used_by_key, server_id, message_id, topic")
        .bind(now).fetch_all(conn).await)
}

/// Tells whether any message still shows a token that is dead.
pub async fn any_dead(tx: &mut Tx, now: Millis) -> Result<bool> {
    let found: Option<i64> = on!(tx, conn => sqlx::query_scalar(
        "SELECT expires_at FROM pairings WHERE message_open = TRUE AND (expires_at <= $1 OR used_by_key IS NOT NULL) LIMIT 1")
        .bind(now).fetch_optional(conn).await)?;
    Ok(found.is_some())
}

pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM pairings WHERE expires_at < $1 AND message_open = FALSE").bind(before))?;
    Ok(())
}
