//! What is to be shown in chats, until Telegram has accepted it.

use serde::{Deserialize, Serialize};

use super::db::{Result, Tx, execute, from_json, on, to_json, wake::Wake};
use crate::domain::{
    HOUR, MINUTE, Millis, SECOND,
    ids::{CallbackId, ChatId, MessageId, OutboxId, TopicId},
    notice::{Notice, Toast, Urgency},
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    Notice(Notice),
    Toast(Toast),
}

/// What a message that waits may take in more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gathers {
    Alerts,
    /// Servers that went silent: told by themselves, as so many of so many.
    Offline,
    Recoveries,
    Reminders,
}

impl Gathers {
    fn as_str(self) -> &'static str {
        match self {
            Self::Alerts => "alerts",
            Self::Offline => "offline",
            Self::Recoveries => "recoveries",
            Self::Reminders => "reminders",
        }
    }
}

/// A chat, or a topic of a forum group.
pub type Room = (ChatId, Option<TopicId>);

/// Nothing is held for longer.
const LONGEST_HOLD: Millis = MINUTE;
/// Between two tries at a chat, or a message, that is refused.
const LONGEST_PAUSE: Millis = HOUR;
/// So soon a chat that refused is looked at again when there is something that somebody has to hear.
const SOON: Millis = 5 * SECOND;

/// Gives when to try again what was refused so often in a row.
pub fn next_try(refused: i64, now: Millis) -> Millis {
    now + (SOON << refused.clamp(0, 10)).min(LONGEST_PAUSE)
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub id: OutboxId,
    pub chat_id: ChatId,
    pub message_id: Option<MessageId>,
    pub callback_id: Option<CallbackId>,
    /// `None`: another version of the backend wrote it, and this one cannot read it.
    pub content: Option<Content>,
    pub version: i64,
    pub attempts: i64,
    /// It is a new message that takes in more of a kind, until it is on its way.
    pub gathers: Option<String>,
    /// How often Telegram refused it.
    pub refused: i64,
    /// Telegram took it without its markup.
    pub shown_plain: bool,
    /// Its topic is gone or closed.
    pub in_general: bool,
    pub created_at: Millis,
}

/// What a message is to show.
pub struct Shown<'a> {
    pub chat_id: ChatId,
    pub message_id: MessageId,
    pub notice: &'a Notice,
    pub urgency: Urgency,
}

/// Leaves what a message is to show. What waits for the same message is replaced: only the last state is worth a call.
pub async fn push_notice(tx: &mut Tx, id: OutboxId, shown: &Shown<'_>, now: Millis) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO outbox (id, chat_id, message_id, content, urgency, version, attempts, created_at)
         VALUES ($1, $2, $3, $4, $5, 0, 0, $6)
         ON CONFLICT (message_id) DO UPDATE SET content = excluded.content, version = outbox.version + 1,
             try_at = NULL, shown_plain = FALSE,
             urgency = CASE WHEN excluded.urgency < outbox.urgency THEN excluded.urgency ELSE outbox.urgency END"
        )
        .bind(id)
        .bind(shown.chat_id)
        .bind(shown.message_id)
        .bind(to_json(&Content::Notice(shown.notice.clone())))
        .bind(shown.urgency as i16)
        .bind(now)
    )?;
    if shown.urgency < Urgency::Background {
        look_by(tx, shown.chat_id, now + SOON).await?;
    }
    tx.wake(Wake::Outbox);
    Ok(())
}

/// There is something that somebody has to hear: a chat that refused is looked at again by this time.
async fn look_by(tx: &mut Tx, chat_id: ChatId, by: Millis) -> Result<()> {
    let earlier = "UPDATE chats SET try_at = $2 WHERE id = $1 AND reachable = FALSE AND try_at > $2";
    execute!(tx, sqlx::query(earlier).bind(chat_id).bind(by))?;
    Ok(())
}

/// From now on, until it is on its way, this new message takes in more of what it tells; it is not sent before `hold_until`.
pub async fn gather(tx: &mut Tx, message_id: MessageId, gathers: Gathers, hold_until: Option<Millis>) -> Result<()> {
    execute!(
        tx,
        sqlx::query("UPDATE outbox SET gathers = $2, hold_until = $3 WHERE message_id = $1")
            .bind(message_id)
            .bind(gathers.as_str())
            .bind(hold_until)
    )?;
    Ok(())
}

/// Gives the chat's message that still takes in more of a kind. It is held, so that the sender cannot send it meanwhile.
pub async fn gathering(tx: &mut Tx, (chat_id, topic): Room, gathers: Gathers) -> Result<Option<MessageId>> {
    on!(tx, conn => sqlx::query_scalar(
        "UPDATE outbox SET version = version WHERE id = (
             SELECT MIN(o.id) FROM outbox o JOIN messages m ON m.id = o.message_id
             WHERE o.chat_id = $1 AND o.gathers = $2 AND COALESCE(m.topic, 0) = COALESCE($3, 0))
         AND gathers = $2 RETURNING message_id")
        .bind(chat_id).bind(gathers.as_str()).bind(topic).fetch_optional(conn).await)
}

/// Tells whether this message is not on its way yet; it is held, as by [`gathering`].
pub async fn is_gathering(tx: &mut Tx, message_id: MessageId) -> Result<bool> {
    let held = execute!(
        tx,
        sqlx::query("UPDATE outbox SET version = version WHERE message_id = $1 AND gathers IS NOT NULL").bind(message_id)
    )?;
    Ok(held == 1)
}

/// Closes an entry that is on its way: what comes from now on is for another message. Gives the entry as it is now; `None`
/// when it is gone.
pub async fn close(tx: &mut Tx, entry: &Entry) -> Result<Option<Entry>> {
    let version: Option<i64> = on!(tx, conn => sqlx::query_scalar("UPDATE outbox SET gathers = NULL WHERE id = $1
        RETURNING version")
        .bind(entry.id).fetch_optional(conn).await)?;
    Ok(version.map(|version| Entry { version, ..entry.clone() }))
}

/// Lets a new message that Telegram did not take take in more again: nobody has heard of it.
pub async fn reopen(tx: &mut Tx, entry: &Entry) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE outbox SET gathers = $2 WHERE id = $1").bind(entry.id).bind(&entry.gathers))?;
    Ok(())
}

/// What pops up where a button was tapped.
pub struct Popped<'a> {
    pub chat_id: ChatId,
    pub callback_id: &'a CallbackId,
    pub toast: Toast,
}

/// Leaves the answer to a tap.
pub async fn push_toast(tx: &mut Tx, id: OutboxId, popped: &Popped<'_>, now: Millis) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO outbox (id, chat_id, callback_id, content, urgency, version, attempts, created_at)
         VALUES ($1, $2, $3, $4, $5, 0, 0, $6)"
        )
        .bind(id)
        .bind(popped.chat_id)
        .bind(popped.callback_id)
        .bind(to_json(&Content::Toast(popped.toast)))
        .bind(Urgency::Tap as i16)
        .bind(now)
    )?;
    tx.wake(Wake::Outbox);
    Ok(())
}

/// Gives the first message and the first toast of each chat that may be tried, most urgent first; what was refused lets the
/// others of its chat go first. A chat without a row (a group that just moved) counts as reachable: Telegram will say where
/// it went. What is held or waits for another try does not count; what is held for longer than anything is was written by a
/// clock that was set back.
pub async fn due(tx: &mut Tx, now: Millis, limit: i64) -> Result<Vec<Entry>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: OutboxId,
        chat_id: ChatId,
        message_id: Option<MessageId>,
        callback_id: Option<CallbackId>,
        content: String,
        version: i64,
        attempts: i64,
        gathers: Option<String>,
        refused: i64,
        shown_plain: bool,
        in_general: bool,
        created_at: i64,
    }
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT o.id, o.chat_id, o.message_id, o.callback_id, o.content, o.version, o.attempts,
             o.gathers, o.refused, o.shown_plain, o.in_general, o.created_at
         FROM outbox o LEFT JOIN chats c ON c.id = o.chat_id
         WHERE (COALESCE(c.reachable, TRUE) OR COALESCE(c.try_at, 0) NOT BETWEEN $1 AND $4)
             AND COALESCE(o.hold_until, 0) NOT BETWEEN $1 AND $2 AND COALESCE(o.try_at, 0) NOT BETWEEN $1 AND $4
             AND NOT EXISTS (
             SELECT 1 FROM outbox e WHERE e.chat_id = o.chat_id AND COALESCE(e.hold_until, 0) NOT BETWEEN $1 AND $2
                 AND COALESCE(e.try_at, 0) NOT BETWEEN $1 AND $4
                 AND (e.message_id IS NULL) = (o.message_id IS NULL)
                 AND (e.refused < o.refused OR (e.refused = o.refused
                     AND (e.urgency < o.urgency OR (e.urgency = o.urgency AND e.id < o.id)))))
         ORDER BY o.urgency, o.id LIMIT $3")
        .bind(now + 1).bind(now + LONGEST_HOLD).bind(limit).bind(now + LONGEST_PAUSE).fetch_all(conn).await)?;
    let readable = rows.into_iter().map(|row| Entry {
        content: from_json("content", &row.content).ok(),
        id: row.id,
        chat_id: row.chat_id,
        message_id: row.message_id,
        callback_id: row.callback_id,
        version: row.version,
        attempts: row.attempts,
        gathers: row.gathers,
        refused: row.refused,
        shown_plain: row.shown_plain,
        in_general: row.in_general,
        created_at: row.created_at,
    });
    Ok(readable.collect())
}

/// Takes an accepted entry out; one that changed meanwhile stays, and is sent again as an edit.
pub async fn sent(tx: &mut Tx, entry: &Entry) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM outbox WHERE id = $1 AND version = $2").bind(entry.id).bind(entry.version))?;
    Ok(())
}

/// Counts a failed call.
pub async fn failed(tx: &mut Tx, entry: &Entry) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE outbox SET attempts = attempts + 1 WHERE id = $1").bind(entry.id))?;
    Ok(())
}

/// Counts a refusal; where others of its chat are taken, it alone waits until `try_at`.
pub async fn refused(tx: &mut Tx, entry: &Entry, try_at: Option<Millis>) -> Result<()> {
    execute!(
        tx,
        sqlx::query("UPDATE outbox SET refused = refused + 1, try_at = $2 WHERE id = $1 AND version = $3")
            .bind(entry.id)
            .bind(try_at)
            .bind(entry.version)
    )?;
    Ok(())
}

/// Lets a message go to General from now on: its topic takes nothing.
pub async fn to_general(tx: &mut Tx, entry: &Entry) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE outbox SET in_general = TRUE WHERE id = $1").bind(entry.id))?;
    Ok(())
}

/// Lets a message that General did not take go to its topic again.
pub async fn to_topic(tx: &mut Tx, entry: &Entry) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE outbox SET in_general = FALSE WHERE id = $1 AND in_general = TRUE").bind(entry.id))?;
    Ok(())
}

/// Notes that a message was taken without its markup; with it, it is shown by the next call.
pub async fn taken_plain(tx: &mut Tx, entry: &Entry) -> Result<()> {
    execute!(
        tx,
        sqlx::query("UPDATE outbox SET shown_plain = TRUE, refused = 0, try_at = NULL WHERE id = $1 AND version = $2")
            .bind(entry.id)
            .bind(entry.version)
    )?;
    Ok(())
}

/// Gives how many wait that somebody can receive, and since when the oldest does.
pub async fn backlog(tx: &mut Tx) -> Result<(i64, Option<i64>)> {
    on!(tx, conn => sqlx::query_as(
        "SELECT CAST(COUNT(*) AS BIGINT), MIN(o.created_at)
         FROM outbox o LEFT JOIN chats c ON c.id = o.chat_id WHERE COALESCE(c.reachable, TRUE)")
        .fetch_one(conn).await)
}

/// Drops what nobody can receive any more.
pub async fn prune(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM outbox WHERE created_at < $1").bind(before))?;
    Ok(())
}
