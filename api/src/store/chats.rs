//! Chats, private and groups.

use std::collections::HashMap;

use sqlx::QueryBuilder;

use super::{
    db::{
        Result, Tx, execute,
        in_list::{AT_ONCE, InList as _},
        on,
        wake::Wake,
    },
    outbox::Gathers,
};
use crate::domain::{
    Millis,
    ids::{ChatId, InnerChatId},
    intent::{Chat, ChatKind},
};

#[derive(sqlx::FromRow)]
pub struct Row {
    pub id: ChatId,
    pub kind: ChatKind,
    pub language: Option<String>,
    pub zone: Option<String>,
    pub reachable: bool,
}

/// Notes that somebody who may use the bot wrote in this chat: it can be reached. `fresh`: its inner id, if it is a new one.
pub async fn seen(tx: &mut Tx, chat: &Chat, fresh: InnerChatId, language: Option<&str>, now: Millis) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO chats (id, inner_id, kind, language, reachable, created_at)
         VALUES ($1, $5, $2, $3, TRUE, $4)
         ON CONFLICT (id) DO UPDATE SET language = COALESCE(excluded.language, chats.language)"
        )
        .bind(chat.id)
        .bind(chat.kind)
        .bind(language)
        .bind(now)
        .bind(fresh)
    )?;
    set_reach(tx, chat.id, Reach::Open).await.map(drop)
}

pub async fn get(tx: &mut Tx, id: ChatId) -> Result<Option<Row>> {
    on!(tx, conn => sqlx::query_as("SELECT id, kind, language, zone, reachable FROM chats WHERE id = $1")
        .bind(id).fetch_optional(conn).await)
}

/// Whether the bot can write in a chat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Open,
    /// Nothing is sent before this time, unless somebody writes there or something begins.
    Closed {
        try_at: Millis,
    },
}

/// Notes whether a chat can be reached, as somebody there says; tells whether it is one of ours at all. One that can be is
/// sent at once what waits for it.
pub async fn set_reach(tx: &mut Tx, id: ChatId, reach: Reach) -> Result<bool> {
    let try_at = match reach {
        Reach::Open => None,
        Reach::Closed { try_at } => Some(try_at),
    };
    let done = execute!(
        tx,
        sqlx::query("UPDATE chats SET reachable = $2, try_at = $3, refused = CASE WHEN $2 THEN 0 ELSE refused END WHERE id = $1")
            .bind(id)
            .bind(try_at.is_none())
            .bind(try_at)
    )?;
    if try_at.is_none() {
        execute!(tx, sqlx::query("UPDATE outbox SET try_at = NULL WHERE chat_id = $1 AND try_at IS NOT NULL").bind(id))?;
        tx.wake(Wake::Outbox);
    }
    Ok(done == 1)
}

/// Notes that a chat takes messages.
pub async fn takes(tx: &mut Tx, id: ChatId) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE chats SET reachable = TRUE, refused = 0, try_at = NULL WHERE id = $1").bind(id))?;
    Ok(())
}

/// Gives how often in a row a chat has refused what it was sent; `None`: a chat that nobody has written in.
pub async fn refusals(tx: &mut Tx, id: ChatId) -> Result<Option<i64>> {
    on!(tx, conn => sqlx::query_scalar("SELECT refused FROM chats WHERE id = $1").bind(id).fetch_optional(conn).await)
}

/// Notes that a chat refused what it was sent, and is not sent anything before `try_at`.
pub async fn refuses(tx: &mut Tx, id: ChatId, try_at: Millis) -> Result<()> {
    execute!(
        tx,
        sqlx::query("UPDATE chats SET reachable = FALSE, refused = refused + 1, try_at = $2 WHERE id = $1").bind(id).bind(try_at)
    )?;
    Ok(())
}

/// `None`: UTC.
pub async fn set_zone(tx: &mut Tx, id: ChatId, zone: Option<&str>) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE chats SET zone = $2 WHERE id = $1").bind(id).bind(zone))?;
    Ok(())
}

/// Gives the time at which the chat's next new message of a kind may go out: now, unless the one before was less than `apart`
/// ago; with one that waits already, together. A time that lies further ahead is of a clock that was set back. `None`: a chat
/// that nobody has written in.
pub async fn take_turn(tx: &mut Tx, id: ChatId, gathers: Gathers, apart: Millis, now: Millis) -> Result<Option<Millis>> {
    let statement = if gathers == Gathers::Recoveries {
        "UPDATE chats SET recovered_at = CASE WHEN recovered_at > $2 AND recovered_at <= $2 + $3 THEN recovered_at
             WHEN recovered_at <= $2 AND recovered_at + $3 > $2 THEN recovered_at + $3 ELSE $2 END
         WHERE id = $1 RETURNING recovered_at"
    } else {
        "UPDATE chats SET alerted_at = CASE WHEN alerted_at > $2 AND alerted_at <= $2 + $3 THEN alerted_at
             WHEN alerted_at <= $2 AND alerted_at + $3 > $2 THEN alerted_at + $3 ELSE $2 END
         WHERE id = $1 RETURNING alerted_at"
    };
    on!(tx, conn => sqlx::query_scalar(statement).bind(id).bind(now).bind(apart).fetch_optional(conn).await)
}

/// Moves every row of a group that became a supergroup, in the caller's transaction.
pub async fn migrate(tx: &mut Tx, from: ChatId, to: ChatId) -> Result<()> {
    on!(tx, conn => {
        sqlx::query("DELETE FROM chats WHERE id = $1 AND EXISTS (SELECT 1 FROM chats WHERE id = $2)")
            .bind(to).bind(from).execute(&mut *conn).await?;
        // The same rule may be set in both.
        sqlx::query("DELETE FROM thresholds WHERE chat_id = $1 AND EXISTS (SELECT 1 FROM thresholds o
             WHERE o.chat_id = $2 AND COALESCE(o.server_id, '') = COALESCE(thresholds.server_id, '')
                 AND o.rule = thresholds.rule)")
            .bind(to).bind(from).execute(&mut *conn).await?;
        for statement in [
            "UPDATE chats SET id = $2 WHERE id = $1",
            "UPDATE servers SET chat_id = $2 WHERE chat_id = $1",
            "UPDATE pairings SET chat_id = $2 WHERE chat_id = $1",
            "UPDATE commands SET chat_id = $2 WHERE chat_id = $1",
            "UPDATE confirmations SET chat_id = $2 WHERE chat_id = $1",
            "UPDATE outbox SET chat_id = $2 WHERE chat_id = $1",
            "UPDATE thresholds SET chat_id = $2 WHERE chat_id = $1",
            "UPDATE incidents SET chat_id = $2 WHERE chat_id = $1",
            "UPDATE mutes SET chat_id = $2 WHERE chat_id = $1",
            "UPDATE updates SET chat_id = $2 WHERE chat_id = $1",
            // Message ids are not carried over: what is edited from now on is sent anew.
            "UPDATE messages SET chat_id = $2, telegram_id = NULL WHERE chat_id = $1",
        ] {
            sqlx::query(statement).bind(from).bind(to).execute(&mut *conn).await?;
        }
        Ok(())
    })
}

/// A chat as the operator's commands list it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    pub id: ChatId,
    pub kind: ChatKind,
    pub reachable: bool,
    pub servers: i64,
    /// Pairing tokens that can be used.
    pub open_tokens: i64,
}

/// Lists every chat of the installation.
pub async fn all(tx: &mut Tx, now: Millis) -> Result<Vec<Listed>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT c.id, c.kind, c.reachable,
             (SELECT CAST(COUNT(*) AS BIGINT) FROM servers s WHERE s.chat_id = c.id) AS servers,
             (SELECT CAST(COUNT(*) AS BIGINT) FROM pairings p
              WHERE p.chat_id = c.id AND p.used_by_key IS NULL AND p.expires_at > $1) AS open_tokens
         FROM chats c ORDER BY c.id")
        .bind(now).fetch_all(conn).await)
}

pub async fn count_unreachable(tx: &mut Tx) -> Result<i64> {
    on!(tx, conn => sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM chats
        WHERE reachable = FALSE").fetch_one(conn).await)
}

/// Looks up the inner ids of these chats, which a group's move does not change.
pub async fn inner_ids(tx: &mut Tx, ids: &[ChatId]) -> Result<HashMap<ChatId, InnerChatId>> {
    let mut found = HashMap::new();
    for ids in ids.chunks(AT_ONCE) {
        let rows: Vec<(ChatId, InnerChatId)> = on!(tx, conn => {
            let mut query = QueryBuilder::new("SELECT id, inner_id FROM chats WHERE id");
            query.push_in(ids);
            query.build_query_as().fetch_all(conn).await
        })?;
        found.extend(rows);
    }
    Ok(found)
}
