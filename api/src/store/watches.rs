//! Figures that are not plainly well. What is well has no row.

use sqlx::QueryBuilder;

use super::db::{
    Result, Tx, execute,
    in_list::{AT_ONCE, InList as _},
    on,
};
use crate::domain::{
    Millis,
    alert::{Rule, Watch},
    ids::{ChatId, ServerId},
};

#[derive(Clone, Debug)]
pub struct Row {
    pub server_id: ServerId,
    pub rule: Rule,
    pub subject: String,
    pub watch: Watch,
}

#[derive(sqlx::FromRow)]
struct Raw {
    server_id: ServerId,
    rule: String,
    subject: String,
    at: i64,
    above_since: Option<i64>,
    below_since: Option<i64>,
    firing: bool,
}

impl Raw {
    /// `None`: a rule of another version of the backend.
    fn into_row(self) -> Option<Row> {
        let watch = Watch { at: self.at, above_since: self.above_since, below_since: self.below_since, firing: self.firing };
        Some(Row { rule: Rule::parse(&self.rule)?, server_id: self.server_id, subject: self.subject, watch })
    }
}

/// Gives the watches of these servers.
pub async fn of(tx: &mut Tx, server_ids: &[ServerId]) -> Result<Vec<Row>> {
    let mut found = Vec::new();
    for ids in server_ids.chunks(AT_ONCE) {
        let rows: Vec<Raw> = on!(tx, conn => {
            let mut query = QueryBuilder::new(
                "SELECT server_id, rule, subject, at, above_since, below_since, firing FROM watches WHERE server_id");
            query.push_in(ids);
            query.build_query_as().fetch_all(conn).await
        })?;
        found.extend(rows.into_iter().filter_map(Raw::into_row));
    }
    Ok(found)
}

/// Remembers these watches; those that are idle are forgotten.
pub async fn put(tx: &mut Tx, rows: &[Row]) -> Result<()> {
    let (idle, kept): (Vec<&Row>, Vec<&Row>) = rows.iter().partition(|row| row.watch.is_idle());
    for rows in kept.chunks(AT_ONCE) {
        on!(tx, conn => {
            let mut query = QueryBuilder::new(
                "INSERT INTO watches (server_id, rule, subject, at, above_since, below_since, firing) ");
            query.push_values(rows, |mut to, row| {
                to.push_bind(row.server_id).push_bind(row.rule.as_str()).push_bind(&row.subject).push_bind(row.watch.at)
                    .push_bind(row.watch.above_since).push_bind(row.watch.below_since).push_bind(row.watch.firing);
            });
            query.push(
                " ON CONFLICT (server_id, rule, subject) DO UPDATE SET at = excluded.at, above_since = excluded.above_since,
                  below_since = excluded.below_since, firing = excluded.firing");
            query.build().execute(conn).await.map(|_| ())
        })?;
    }
    for row in idle {
        execute!(
            tx,
            sqlx::query("DELETE FROM watches WHERE server_id = $1 AND rule = $2 AND subject = $3")
                .bind(row.server_id)
                .bind(row.rule.as_str())
                .bind(&row.subject)
        )?;
    }
    Ok(())
}

/// Forgets what was seen of a server: its host was paired anew.
pub async fn forget(tx: &mut Tx, server_id: ServerId) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM watches WHERE server_id = $1").bind(server_id))?;
    Ok(())
}

/// A server as the offline judge sees it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Heard {
    pub server_id: ServerId,
    pub server_name: String,
    pub chat_id: ChatId,
    pub received_at: Millis,
    pub interval_s: i64,
    /// It is already known to be offline.
    pub is_offline: bool,
}

/// Lists every server that ever reported.
pub async fn heard(tx: &mut Tx) -> Result<Vec<Heard>> {
    on!(tx, conn => sqlx::query_as(
        "SELECT t.server_id, s.name AS server_name, s.chat_id,
         t.received_at, t.interval_s, COALESCE(w.firing, FALSE) AS is_offline
         FROM server_states t JOIN servers s ON s.id = t.server_id
         LEFT JOIN watches w ON w.server_id = t.server_id AND w.rule = $1 AND w.subject = '' ORDER BY t.server_id")
        .bind(Rule::Offline.as_str()).fetch_all(conn).await)
}

/// Tells whether a server is as silent as it was at the look, and nobody has told so. The caller holds it, so that a report that
/// comes now waits.
pub async fn is_still(tx: &mut Tx, heard: &Heard) -> Result<bool> {
    let same: Option<ServerId> = on!(tx, conn => sqlx::query_scalar(
        "SELECT server_id FROM server_states WHERE server_id = $1 AND received_at = $2 AND NOT EXISTS (
             SELECT 1 FROM watches w WHERE w.server_id = $1 AND w.rule = $3 AND w.firing)")
        .bind(heard.server_id).bind(heard.received_at).bind(Rule::Offline.as_str()).fetch_optional(conn).await)?;
    Ok(same.is_some())
}
