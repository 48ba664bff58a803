//! Messages of ours in chats: our id, and Telegram's once it is known.

use super::db::{Result, Tx, execute, on};
use crate::domain::{
    Millis,
    ids::{ChatId, MessageId, TelegramMessageId, TopicId},
};

pub async fn insert(
    tx: &mut Tx,
    id: MessageId,
    chat_id: ChatId,
    telegram_id: Option<TelegramMessageId>,
    now: Millis,
) -> Result<()> {
    execute!(
        tx,
        sqlx::query("INSERT INTO messages (id, chat_id, telegram_id, created_at) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(chat_id)
            .bind(telegram_id)
            .bind(now)
    )?;
    Ok(())
}

pub async fn by_telegram_id(tx: &mut Tx, chat_id: ChatId, telegram_id: TelegramMessageId) -> Result<Option<MessageId>> {
    on!(tx, conn => sqlx::query_scalar("SELECT id FROM messages WHERE chat_id = $1 AND telegram_id = $2")
        .bind(chat_id).bind(telegram_id).fetch_optional(conn).await)
}

pub async fn telegram_id(tx: &mut Tx, id: MessageId) -> Result<Option<TelegramMessageId>> {
    let found: Option<Option<TelegramMessageId>> = on!(tx, conn => sqlx::query_scalar("SELECT telegram_id FROM messages
        WHERE id = $1")
        .bind(id).fetch_optional(conn).await)?;
    Ok(found.flatten())
}

/// Notes that a message is gone at Telegram: what it is to show from now on is sent anew.
pub async fn gone(tx: &mut Tx, id: MessageId) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE messages SET telegram_id = NULL WHERE id = $1").bind(id))?;
    Ok(())
}

/// Notes the topic that a new message is for.
pub async fn set_topic(tx: &mut Tx, id: MessageId, topic: TopicId) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE messages SET topic = $2 WHERE id = $1").bind(id).bind(topic))?;
    Ok(())
}

/// Gives the topic that a message is for.
pub async fn topic(tx: &mut Tx, id: MessageId) -> Result<Option<TopicId>> {
    let found: Option<Option<TopicId>> = on!(tx, conn => sqlx::query_scalar("SELECT topic FROM messages WHERE id = $1")
        .bind(id).fetch_optional(conn).await)?;
    Ok(found.flatten())
}

/// Notes that Telegram took a message, and since when it can be heard of.
pub async fn told(tx: &mut Tx, id: MessageId, telegram_id: Option<TelegramMessageId>, now: Millis) -> Result<()> {
    execute!(
        tx,
        sqlx::query("UPDATE messages SET telegram_id = COALESCE($2, telegram_id), told_at = COALESCE(told_at, $3) WHERE id = $1")
            .bind(id)
            .bind(telegram_id)
            .bind(now)
    )?;
    Ok(())
}

/// Drops what is old, unless something waits for it, or it shows an alert that is open or was a while ago: without its row,
/// every edit of it would be a new message.
pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "DELETE FROM messages WHERE created_at < $1
             AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.message_id = messages.id)
             AND NOT EXISTS (SELECT 1 FROM incidents i WHERE i.message_id = messages.id
                 AND (i.resolved_at IS NULL OR i.resolved_at >= $1))"
        )
        .bind(before)
    )?;
    Ok(())
}
