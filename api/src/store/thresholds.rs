//! Limits that differ from the defaults, of a chat or of one of its servers.

use std::collections::HashMap;

use sqlx::QueryBuilder;

use super::{Result, Tx, execute, on};
use crate::domain::alert::{Limits, Rule, Severity};

/// The limits of some chats and their servers; the defaults are not in here.
#[derive(Debug, Default)]
pub struct Thresholds(HashMap<(i64, String, Rule), Limits>);

impl Thresholds {
    /// A server's own, else its chat's, else the default.
    pub fn of(&self, chat_id: i64, server_id: &str, rule: Rule) -> Limits {
        let set = |server_id: &str| self.0.get(&(chat_id, server_id.to_owned(), rule)).copied();
        set(server_id).or_else(|| set("")).unwrap_or_else(|| rule.default_limits())
    }

    /// Whether this very scope has set it.
    pub fn is_set(&self, chat_id: i64, server_id: &str, rule: Rule) -> bool {
        self.0.contains_key(&(chat_id, server_id.to_owned(), rule))
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    chat_id: i64,
    server_id: String,
    rule: String,
    enabled: bool,
    limit_value: f64,
    lower_value: f64,
    hold: i64,
    severity: String,
}

impl Row {
    /// `None`: a rule of another version of the backend.
    fn into_entry(self) -> Option<((i64, String, Rule), Limits)> {
        let rule = Rule::parse(&self.rule)?;
        let severity = Severity::parse(&self.severity);
        let limits =
            Limits { enabled: self.enabled, limit: self.limit_value, lower: self.lower_value, hold: self.hold, severity };
        Some(((self.chat_id, self.server_id, rule), limits.capped(rule)))
    }
}

impl FromIterator<((i64, String, Rule), Limits)> for Thresholds {
    fn from_iter<T: IntoIterator<Item = ((i64, String, Rule), Limits)>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

pub async fn of_chats(tx: &mut Tx, chat_ids: &[i64]) -> Result<Thresholds> {
    let mut found: Vec<Row> = Vec::new();
    for chat_ids in chat_ids.chunks(1000) {
        let rows: Vec<Row> = on!(tx, conn => {
            let mut query = QueryBuilder::new(
                "SELECT chat_id, server_id, rule, enabled, limit_value, lower_value, hold, severity FROM thresholds WHERE chat_id IN (");
            let mut list = query.separated(", ");
            for id in chat_ids {
                list.push_bind(id);
            }
            query.push(")");
            query.build_query_as().fetch_all(conn).await
        })?;
        found.extend(rows);
    }
    Ok(found.into_iter().filter_map(Row::into_entry).collect())
}

/// `server_id` empty: the whole chat.
pub async fn set(tx: &mut Tx, chat_id: i64, server_id: &str, rule: Rule, limits: &Limits) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "INSERT INTO thresholds (chat_id, server_id, rule, enabled, limit_value, lower_value, hold, severity)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (chat_id, server_id, rule) DO UPDATE SET enabled = excluded.enabled, limit_value = excluded.limit_value,
             lower_value = excluded.lower_value, hold = excluded.hold, severity = excluded.severity"
        )
        .bind(chat_id)
        .bind(server_id)
        .bind(rule.as_str())
        .bind(limits.enabled)
        .bind(limits.limit)
        .bind(limits.lower)
        .bind(limits.hold)
        .bind(limits.severity.as_str())
    )?;
    Ok(())
}

pub async fn reset(tx: &mut Tx, chat_id: i64, server_id: &str, rule: Rule) -> Result<()> {
    execute!(
        tx,
        sqlx::query("DELETE FROM thresholds WHERE chat_id = $1 AND server_id = $2 AND rule = $3")
            .bind(chat_id)
            .bind(server_id)
            .bind(rule.as_str())
    )?;
    Ok(())
}

/// One rule's limits in every chat.
pub async fn of_rule(tx: &mut Tx, rule: Rule) -> Result<Thresholds> {
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT chat_id, server_id, rule, enabled, limit_value, lower_value, hold, severity FROM thresholds WHERE rule = $1")
        .bind(rule.as_str()).fetch_all(conn).await)?;
    Ok(rows.into_iter().filter_map(Row::into_entry).collect())
}

/// Drops what is about servers that are gone.
pub async fn prune(tx: &mut Tx) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM thresholds WHERE server_id <> '' AND server_id NOT IN (SELECT id FROM servers)"))?;
    Ok(())
}
