//! What happened. Written in the transaction of what happened; numbered once that is committed, by the one instance that holds
//! the role; read by number only.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use sqlx::QueryBuilder;

use super::{
    chats,
    db::{Result, Tx, execute, from_json, on, to_json, wake::Wake},
    meta,
};
use crate::domain::{
    Millis,
    event::{About, By, Happened, Recorded},
    ids::{EventId, EventNumber, InnerChatId, ServerId},
};

/// Events that are numbered in one step.
const STEP: i64 = 1000;

struct New {
    id: EventId,
    chat: Option<InnerChatId>,
    server_id: Option<ServerId>,
    server_name: Option<String>,
    kind: &'static str,
    actor: String,
    data: String,
    hash: String,
}

/// Writes what happened at `at`, each under an id made before.
pub async fn insert(tx: &mut Tx, by: &By, happened: &[(EventId, Happened)], at: Millis) -> Result<()> {
    let mut chat_ids: Vec<_> = happened.iter().filter_map(|(_, happened)| happened.chat_id).collect();
    chat_ids.sort_unstable();
    chat_ids.dedup();
    let inner = chats::inner_ids(tx, &chat_ids).await?;
    let actor = to_json(by);
    let rows: Vec<New> = happened
        .iter()
        .map(|(id, happened)| {
            let chat = happened.chat_id.and_then(|chat_id| inner.get(&chat_id).copied());
            row(*id, chat, happened, &actor, at)
        })
        .collect();
    for rows in rows.chunks(500) {
        on!(tx, conn => {
            let mut query = QueryBuilder::new(
                "INSERT INTO events (id, chat, server_id, server_name, kind, actor, data, at, hash) ");
            query.push_values(rows, |mut to, row| {
                to.push_bind(row.id).push_bind(row.chat).push_bind(row.server_id).push_bind(&row.server_name).push_bind(row.kind)
                    .push_bind(&row.actor).push_bind(&row.data).push_bind(at).push_bind(&row.hash);
            });
            query.build().execute(conn).await.map(drop)
        })?;
    }
    tx.wake(Wake::Events);
    Ok(())
}

fn row(id: EventId, chat: Option<InnerChatId>, happened: &Happened, actor: &str, at: Millis) -> New {
    let (server_id, server_name) =
        happened.server.as_ref().map_or((None, None), |server| (Some(server.id), Some(server.name.clone())));
    let (kind, data) = (happened.event.kind(), to_json(&happened.event));
    // A JSON array of strings: no two rows have one text.
    let hashed = (id, chat, server_id, &server_name, kind, actor, &data, at);
    let hash = HEXLOWER.encode(&Sha256::digest(to_json(&hashed).as_bytes()));
    New { id, chat, server_id, server_name, kind, actor: actor.to_owned(), data, hash }
}

/// Tells whether anything waits for its number: the cheap look before [`number`].
pub async fn any_unnumbered(tx: &mut Tx) -> Result<bool> {
    let found: Option<EventId> =
        on!(tx, conn => sqlx::query_scalar("SELECT id FROM events WHERE number IS NULL LIMIT 1").fetch_optional(conn).await)?;
    Ok(found.is_some())
}

/// Numbers what is committed by now, in the order of the ids, after all that has a number. Tells whether there may be more.
///
/// Whoever calls it holds the role; the counter's row is held until the transaction ends, so that a holder that was late cannot
/// number beside the next one.
pub async fn number(tx: &mut Tx) -> Result<bool> {
    let last = meta::hold_counter(tx, meta::EVENT_NUMBER).await?;
    let ids: Vec<EventId> = on!(tx, conn => sqlx::query_scalar("SELECT id FROM events WHERE number IS NULL ORDER BY id LIMIT $1")
        .bind(STEP).fetch_all(conn).await)?;
    let mut next = last;
    for id in &ids {
        next += 1;
        execute!(tx, sqlx::query("UPDATE events SET number = $2 WHERE id = $1").bind(*id).bind(next))?;
    }
    meta::set(tx, meta::EVENT_NUMBER, &next.to_string()).await?;
    Ok(i64::try_from(ids.len()).unwrap_or_default() == STEP)
}

/// Lists what came after a number, in order.
pub async fn after(tx: &mut Tx, number: EventNumber, limit: i64) -> Result<Vec<Recorded>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        number: EventNumber,
        at: i64,
        actor: String,
        server_id: Option<ServerId>,
        server_name: Option<String>,
        data: String,
    }
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT number, at, actor, server_id, server_name, data FROM events WHERE number > $1 ORDER BY number LIMIT $2")
        .bind(number).bind(limit).fetch_all(conn).await)?;
    rows.into_iter()
        .map(|row| {
            let server = row.server_id.zip(row.server_name).map(|(id, name)| About { id, name });
            let (by, event) = (from_json("actor", &row.actor)?, from_json("data", &row.data)?);
            Ok(Recorded { number: row.number, at: row.at, by, server, event })
        })
        .collect()
}

/// Deletes a small step of what is older; tells whether there may be more.
pub async fn prune(tx: &mut Tx, before: Millis, step: i64) -> Result<bool> {
    let done = execute!(
        tx,
        sqlx::query("DELETE FROM events WHERE number IS NOT NULL AND id IN (SELECT id FROM events WHERE at < $1 LIMIT $2)")
            .bind(before)
            .bind(step)
    )?;
    Ok(i64::try_from(done).unwrap_or_default() == step)
}
