//! Paired servers, each with its newest report.

use std::collections::HashSet;

use osm_protocol::{ids::KeyId, key::PublicKey};
use sqlx::QueryBuilder;

use super::db::{
    Conn, Result, Tx, execute, from_json,
    in_list::{AT_ONCE, InList as _},
    on,
};
use crate::domain::{
    Millis,
    ids::{ChatId, ServerId, TopicId, UserId},
    server::{Latest, Server},
};

/// A server as agents' requests see it.
#[derive(Clone, sqlx::FromRow)]
pub struct Agent {
    pub id: ServerId,
    pub chat_id: ChatId,
    pub name: String,
    pub agent_key: String,
    pub machine: String,
    pub suspended: bool,
}

pub struct New<'a> {
    pub id: ServerId,
    pub chat_id: ChatId,
    pub name: &'a str,
    pub agent_key: &'a PublicKey,
    pub machine: &'a str,
    pub os: &'a str,
    pub address: &'a str,
    pub paired_at: Millis,
    /// Whose token paired it.
    pub paired_by: UserId,
    pub topic: Option<TopicId>,
}

const AGENT: &str = "SELECT id, chat_id, name, agent_key, machine, suspended FROM servers
     WHERE key_id = $1 AND unpaired_at IS NULL";

pub async fn by_key_id(tx: &mut Tx, key_id: KeyId) -> Result<Option<Agent>> {
    on!(tx, conn => sqlx::query_as(AGENT).bind(key_id).fetch_optional(conn).await)
}

pub async fn by_id(tx: &mut Tx, id: ServerId) -> Result<Option<Agent>> {
    on!(tx, conn => sqlx::query_as("SELECT id, chat_id, name, agent_key, machine, suspended FROM servers WHERE id = $1")
        .bind(id).fetch_optional(conn).await)
}

/// Gives a server whose host is still paired with it: what agents' requests act on.
pub async fn paired(tx: &mut Tx, id: ServerId) -> Result<Option<Agent>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT id, chat_id, name, agent_key, machine, suspended FROM servers WHERE id = $1 AND unpaired_at IS NULL")
        .bind(id).fetch_optional(conn).await)
}

/// Lists every server with its key.
pub async fn keys(tx: &mut Tx) -> Result<Vec<(ServerId, String)>> {
    on!(tx, conn => sqlx::query_as("SELECT id, agent_key FROM servers").fetch_all(conn).await)
}

/// Gives the key of this id, if it was a server's that is gone.
pub async fn removed_key(tx: &mut Tx, key_id: KeyId) -> Result<Option<String>> {
    on!(tx, conn => sqlx::query_scalar("SELECT agent_key FROM removed_keys WHERE key_id = $1")
        .bind(key_id).fetch_optional(conn).await)
}

/// Gives the topic in which a server was paired.
pub async fn topic(tx: &mut Tx, id: ServerId) -> Result<Option<TopicId>> {
    let found: Option<Option<TopicId>> = on!(tx, conn => sqlx::query_scalar("SELECT topic FROM servers WHERE id = $1")
        .bind(id).fetch_optional(conn).await)?;
    Ok(found.flatten())
}

/// Lists the servers of a chat that were paired in this topic.
pub async fn of_topic(tx: &mut Tx, chat_id: ChatId, topic: Option<TopicId>) -> Result<HashSet<ServerId>> {
    let ids: Vec<ServerId> = on!(tx, conn => sqlx::query_scalar(
        "SELECT id FROM servers WHERE chat_id = $1 AND COALESCE(topic, 0) = COALESCE($2, 0)")
        .bind(chat_id).bind(topic).fetch_all(conn).await)?;
    Ok(ids.into_iter().collect())
}

pub async fn insert(tx: &mut Tx, server: &New<'_>) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO servers (id, chat_id, name, agent_key, key_id, machine, os, address, last_seq, suspended, paired_at,
             paired_by, topic)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, FALSE, $9, $10, $11)"
        )
        .bind(server.id)
        .bind(server.chat_id)
        .bind(server.name)
        .bind(server.agent_key.to_string())
        .bind(server.agent_key.id())
        .bind(server.machine)
        .bind(server.os)
        .bind(server.address)
        .bind(server.paired_at)
        .bind(server.paired_by)
        .bind(server.topic)
    )?;
    Ok(())
}

/// Gives a known server the new key of its re-paired host, and the chat that asked. What was last reported is forgotten,
/// since it may be a clone's.
pub async fn replace(tx: &mut Tx, server: &New<'_>) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM server_states WHERE server_id = $1").bind(server.id))?;
    execute!(
        tx,
        sqlx::query(
            "UPDATE servers SET chat_id = $2, name = $3, agent_key = $4, key_id = $5, machine = $6, os = $7, address = $8,
             suspended = FALSE, paired_at = $9, paired_by = $10, topic = $11 WHERE id = $1"
        )
        .bind(server.id)
        .bind(server.chat_id)
        .bind(server.name)
        .bind(server.agent_key.to_string())
        .bind(server.agent_key.id())
        .bind(server.machine)
        .bind(server.os)
        .bind(server.address)
        .bind(server.paired_at)
        .bind(server.paired_by)
        .bind(server.topic)
    )?;
    Ok(())
}

/// Parts a server from its host, which was paired anew elsewhere: its history stays. What was last reported is forgotten,
/// since nobody stands for it any more.
pub async fn unpair(tx: &mut Tx, id: ServerId, now: Millis) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM server_states WHERE server_id = $1").bind(id))?;
    execute!(tx, sqlx::query("UPDATE servers SET unpaired_at = $2, suspended = FALSE WHERE id = $1").bind(id).bind(now))?;
    Ok(())
}

/// Gives a server to another chat, under a name that is free there; nobody there paired it.
pub async fn relocate(tx: &mut Tx, id: ServerId, chat_id: ChatId, name: &str) -> Result<()> {
    execute!(
        tx,
        sqlx::query("UPDATE servers SET chat_id = $2, name = $3, paired_by = NULL, topic = NULL WHERE id = $1")
            .bind(id)
            .bind(chat_id)
            .bind(name)
    )?;
    Ok(())
}

/// A server as the operator's commands list it.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Listed {
    pub id: ServerId,
    pub chat_id: ChatId,
    pub name: String,
    pub os: String,
    pub suspended: bool,
    pub paired_at: Millis,
    pub paired_by: Option<UserId>,
    pub unpaired_at: Option<Millis>,
    pub received_at: Option<Millis>,
}

/// Lists every server of the installation, by chat and name.
pub async fn all(tx: &mut Tx) -> Result<Vec<Listed>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT s.id, s.chat_id, s.name, s.os, s.suspended, s.paired_at, s.paired_by, s.unpaired_at, t.received_at
         FROM servers s LEFT JOIN server_states t ON t.server_id = s.id ORDER BY s.chat_id, s.name, s.id")
        .fetch_all(conn).await)
}

/// Lists the ids of a chat's servers, all of them.
pub async fn of_chat(tx: &mut Tx, chat_id: ChatId) -> Result<Vec<ServerId>> {
    on!(tx, conn => sqlx::query_scalar("SELECT id FROM servers WHERE chat_id = $1 ORDER BY id")
        .bind(chat_id).fetch_all(conn).await)
}

/// Deletes a server with all that hangs on it, and remembers its key as removed. Returns its name.
pub async fn remove(tx: &mut Tx, chat_id: ChatId, id: ServerId, now: Millis) -> Result<Option<String>> {
    let removed: Option<(String, KeyId, String)> = on!(tx, conn => sqlx::query_as(
        "DELETE FROM servers WHERE id = $1 AND chat_id = $2 RETURNING name, key_id, agent_key")
        .bind(id).bind(chat_id).fetch_optional(conn).await)?;
    let Some((name, key_id, agent_key)) = removed else { return Ok(None) };
    // Used tokens name their server, and would stay for a day.
    execute!(tx, sqlx::query("DELETE FROM pairings WHERE server_id = $1").bind(id))?;
    forget_key(tx, key_id, &agent_key, now).await?;
    Ok(Some(name))
}

/// Remembers a key that is no longer anybody's.
pub async fn forget_key(tx: &mut Tx, key_id: KeyId, agent_key: &str, now: Millis) -> Result<()> {
    const FORGET: &str =
        "INSERT INTO removed_keys (key_id, agent_key, removed_at) VALUES ($1, $2, $3) ON CONFLICT (key_id) DO NOTHING";
    execute!(tx, sqlx::query(FORGET).bind(key_id).bind(agent_key).bind(now))?;
    Ok(())
}

/// Takes the next sequence number, higher than every one before, and locks the server's row until the transaction ends.
pub async fn next_seq(tx: &mut Tx, id: ServerId, now: Millis) -> Result<Option<i64>> {
    on!(tx, conn => sqlx::query_scalar(
        "UPDATE servers SET last_seq = CASE WHEN last_seq >= $2 THEN last_seq + 1 ELSE $2 END WHERE id = $1 RETURNING last_seq")
        .bind(id).bind(now).fetch_optional(conn).await)
}

pub async fn suspend(tx: &mut Tx, id: ServerId) -> Result<bool> {
    let done = execute!(tx, sqlx::query("UPDATE servers SET suspended = TRUE WHERE id = $1 AND suspended = FALSE").bind(id))?;
    Ok(done == 1)
}

pub async fn count(tx: &mut Tx, chat_id: ChatId) -> Result<i64> {
    on!(tx, conn => sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM servers WHERE chat_id = $1")
        .bind(chat_id).fetch_one(conn).await)
}

#[derive(sqlx::FromRow)]
struct Row {
    id: ServerId,
    name: String,
    agent_key: String,
    os: String,
    paired_from: String,
    suspended: bool,
    paired_at: i64,
    unpaired_at: Option<i64>,
    received_at: Option<i64>,
    address: Option<String>,
    agent_version: Option<String>,
    report: Option<String>,
    open_alerts: i64,
}

impl Row {
    fn into_server(self) -> Server {
        // A report that another version of the backend wrote, and this one cannot read, is as good as none: the next one
        // comes soon.
        let report = self.report.and_then(|report| from_json("report", &report).ok());
        let latest = match (report, self.received_at) {
            (Some(report), Some(received_at)) => Some(Latest {
                report,
                received_at,
                address: self.address.unwrap_or_default(),
                agent_version: self.agent_version.unwrap_or_default(),
            }),
            _ => None,
        };
        let fingerprint = PublicKey::parse(&self.agent_key).map(|key| key.fingerprint()).unwrap_or_default();
        Server {
            id: self.id,
            name: self.name,
            os: self.os,
            paired_from: self.paired_from,
            paired_at: self.paired_at,
            unpaired_at: self.unpaired_at,
            fingerprint,
            suspended: self.suspended,
            open_alerts: self.open_alerts,
            latest,
        }
    }
}

/// Holds these servers until the transaction ends: instances judge one server one after the other, and a statement that
/// follows sees what the one before left. In one order, so that two groups do not wait for each other in a circle. SQLite has
/// one writer, and needs none of it.
pub async fn hold(tx: &mut Tx, ids: &[ServerId]) -> Result<()> {
    let Conn::Postgres(conn) = &mut tx.conn else { return Ok(()) };
    for ids in ids.chunks(AT_ONCE) {
        let mut query = QueryBuilder::new("SELECT id FROM servers WHERE id");
        query.push_in(ids).push(" ORDER BY id FOR NO KEY UPDATE");
        query.build().fetch_all(&mut **conn).await?;
    }
    Ok(())
}

/// A query for servers as their chats know them, with the end of its statement.
macro_rules! select {
    ($end:literal) => {
        concat!(
            "SELECT s.id, s.name, s.agent_key, s.os, s.address AS paired_from, s.suspended, s.paired_at, s.unpaired_at, t.received_at,
                 t.address, t.agent_version, t.report,
                 (SELECT CAST(COUNT(*) AS BIGINT) FROM incidents i WHERE i.server_id = s.id AND i.resolved_at IS NULL) AS open_alerts
             FROM servers s LEFT JOIN server_states t ON t.server_id = s.id ",
            $end
        )
    };
}

/// Gives one server of a chat with its newest report.
pub async fn get(tx: &mut Tx, chat_id: ChatId, id: ServerId) -> Result<Option<Server>> {
    let row: Option<Row> = on!(tx, conn => sqlx::query_as(
        select!("WHERE s.chat_id = $1 AND s.id = $2"))
        .bind(chat_id).bind(id).fetch_optional(conn).await)?;
    Ok(row.map(Row::into_server))
}

/// Gives a chat's servers by name.
pub async fn list(tx: &mut Tx, chat_id: ChatId, offset: i64, limit: i64) -> Result<Vec<Server>> {
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT s.id, s.name, s.agent_key, s.os, s.address AS paired_from, s.suspended, s.paired_at, s.unpaired_at,
         t.received_at, t.address, t.agent_version, t.report,
             (SELECT CAST(COUNT(*) AS BIGINT) FROM incidents i WHERE i.server_id = s.id AND i.resolved_at IS NULL) AS open_alerts
         FROM servers s LEFT JOIN server_states t ON t.server_id = s.id WHERE s.chat_id = $1
             ORDER BY s.name, s.id LIMIT $2 OFFSET $3")
        .bind(chat_id).bind(limit).bind(offset).fetch_all(conn).await)?;
    Ok(rows.into_iter().map(Row::into_server).collect())
}

/// Ids of a chat's servers with this name, in any case of letters.
pub async fn named(tx: &mut Tx, chat_id: ChatId, name: &str) -> Result<Vec<ServerId>> {
    on!(tx, conn => sqlx::query_scalar("SELECT id FROM servers WHERE chat_id = $1 AND LOWER(name) = LOWER($2)
        ORDER BY id LIMIT 10")
        .bind(chat_id).bind(name).fetch_all(conn).await)
}

/// Where servers are, and on whose behalf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Place {
    pub chat_id: ChatId,
    /// `None`: the operator moved them there.
    pub paired_by: Option<UserId>,
}

/// Lists every place that has a server.
pub async fn places(tx: &mut Tx) -> Result<Vec<Place>> {
    on!(tx, conn => sqlx::query_as("SELECT DISTINCT chat_id, paired_by FROM servers ORDER BY chat_id, paired_by")
        .fetch_all(conn).await)
}

/// Lists the names of the servers of a place.
pub async fn names_at(tx: &mut Tx, place: &Place) -> Result<Vec<String>> {
    on!(tx, conn => sqlx::query_scalar(
        "SELECT name FROM servers WHERE chat_id = $1 AND (paired_by = $2 OR (paired_by IS NULL AND $2 IS NULL))
         ORDER BY name, id")
        .bind(place.chat_id).bind(place.paired_by).fetch_all(conn).await)
}

/// Addresses and figures go with the state, which hangs on the server; this prunes what outlives it.
pub async fn prune_removed(tx: &mut Tx, before: Millis) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM removed_keys WHERE removed_at < $1").bind(before))?;
    Ok(())
}
