//! When a chat or a server makes no sound.

use super::db::{Result, Tx, execute, on};
use crate::domain::{
    Millis,
    ids::{ChatId, MuteId, ServerId},
    mute::{Mute, Window},
};

pub async fn insert(tx: &mut Tx, chat_id: ChatId, mute: &Mute) -> Result<()> {
    let (until, from, to) = match mute.window {
        Window::Until(until) => (Some(until), None, None),
        Window::Daily { from, to } => (None, Some(from), Some(to)),
    };
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO mutes (id, chat_id, server_id, until, from_minute, to_minute, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
        )
        .bind(mute.id)
        .bind(chat_id)
        .bind(mute.server_id)
        .bind(until)
        .bind(from)
        .bind(to)
        .bind(&mute.created_by)
    )?;
    Ok(())
}

/// Gives a chat's mutes that are not over.
pub async fn of_chat(tx: &mut Tx, chat_id: ChatId, now: Millis) -> Result<Vec<Mute>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: MuteId,
        server_id: Option<ServerId>,
        until: Option<i64>,
        from_minute: Option<i64>,
        to_minute: Option<i64>,
        created_by: String,
    }
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT id, server_id, until, from_minute, to_minute, created_by FROM mutes
         WHERE chat_id = $1 AND (until IS NULL OR until > $2) ORDER BY id")
        .bind(chat_id).bind(now).fetch_all(conn).await)?;
    let mutes = rows.into_iter().filter_map(|row| {
        let window = match (row.until, row.from_minute, row.to_minute) {
            (Some(until), _, _) => Window::Until(until),
            (None, Some(from), Some(to)) => Window::Daily { from, to },
            _ => return None,
        };
        Some(Mute { id: row.id, server_id: row.server_id, window, created_by: row.created_by })
    });
    Ok(mutes.collect())
}

pub async fn remove(tx: &mut Tx, chat_id: ChatId, id: MuteId) -> Result<bool> {
    let done = execute!(tx, sqlx::query("DELETE FROM mutes WHERE chat_id = $1 AND id = $2").bind(chat_id).bind(id))?;
    Ok(done == 1)
}

/// Drops what is over.
pub async fn prune(tx: &mut Tx, now: Millis) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM mutes WHERE until <= $1").bind(now))?;
    Ok(())
}

/// Lets the mutes of a server end: it comes to another chat, which has not asked for silence.
pub async fn forget_server(tx: &mut Tx, server_id: ServerId) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM mutes WHERE server_id = $1").bind(server_id))?;
    Ok(())
}

/// Forgets all mutes of a chat.
pub async fn forget_chat(tx: &mut Tx, chat_id: ChatId) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM mutes WHERE chat_id = $1").bind(chat_id))?;
    Ok(())
}
