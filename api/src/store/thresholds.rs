//! Limits that differ from the defaults, of a chat or of one of its servers.

use std::collections::HashMap;

use sqlx::QueryBuilder;

use super::db::{
    Result, Tx, execute,
    in_list::{AT_ONCE, InList as _},
    on,
};
use crate::domain::{
    alert::{Limits, Rule, Severity},
    ids::{ChatId, ServerId},
};

/// A chat's limit of a rule, or one of its servers'.
type Key = (ChatId, Option<ServerId>, Rule);

/// The limits of some chats and their servers; the defaults are not in here.
#[derive(Debug, Default)]
pub struct Thresholds(HashMap<Key, Limits>);

impl Thresholds {
    /// Gives a server's own limits, else its chat's, else the default; without a server, the chat's or the default.
    pub fn of(&self, chat_id: ChatId, server_id: Option<ServerId>, rule: Rule) -> Limits {
        let set = |server_id| self.0.get(&(chat_id, server_id, rule)).copied();
        set(server_id).or_else(|| set(None)).unwrap_or_else(|| rule.default_limits())
    }

    /// Tells whether this very scope has set it.
    pub fn is_set(&self, chat_id: ChatId, server_id: Option<ServerId>, rule: Rule) -> bool {
        self.0.contains_key(&(chat_id, server_id, rule))
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    chat_id: ChatId,
    server_id: Option<ServerId>,
    rule: String,
    enabled: bool,
    limit_value: f64,
    lower_value: f64,
    hold: i64,
    severity: String,
}

impl Row {
    /// `None`: a rule of another version of the backend.
    fn into_entry(self) -> Option<(Key, Limits)> {
        let rule = Rule::parse(&self.rule)?;
        let severity = Severity::parse(&self.severity);
        let limits =
            Limits { enabled: self.enabled, limit: self.limit_value, lower: self.lower_value, hold: self.hold, severity };
        Some(((self.chat_id, self.server_id, rule), limits.capped(rule)))
    }
}

impl FromIterator<(Key, Limits)> for Thresholds {
    fn from_iter<T: IntoIterator<Item = (Key, Limits)>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

pub async fn of_chats(tx: &mut Tx, chat_ids: &[ChatId]) -> Result<Thresholds> {
    let mut found: Vec<Row> = Vec::new();
    for chat_ids in chat_ids.chunks(AT_ONCE) {
        let rows: Vec<Row> = on!(tx, conn => {
            let mut query = QueryBuilder::new(
                "SELECT chat_id, server_id, rule, enabled, limit_value, lower_value, hold, severity FROM thresholds
                 WHERE chat_id");
            query.push_in(chat_ids);
            query.build_query_as().fetch_all(conn).await
        })?;
        found.extend(rows);
    }
    Ok(found.into_iter().filter_map(Row::into_entry).collect())
}

/// Sets a limit; without a server, for the whole chat.
pub async fn set(tx: &mut Tx, chat_id: ChatId, server_id: Option<ServerId>, rule: Rule, limits: &Limits) -> Result<()> {
    // Two unique indexes, since a NULL is never the same as another.
    let unique = if server_id.is_some() {
        "(chat_id, server_id, rule) WHERE server_id IS NOT NULL"
    } else {
        "(chat_id, rule) WHERE server_id IS NULL"
    };
    on!(tx, conn => {
        let mut query = QueryBuilder::new(
            "INSERT INTO thresholds (chat_id, server_id, rule, enabled, limit_value, lower_value, hold, severity) ");
        query.push_values([limits], |mut row, limits| {
            row.push_bind(chat_id).push_bind(server_id).push_bind(rule.as_str()).push_bind(limits.enabled).push_bind(limits.limit)
                .push_bind(limits.lower).push_bind(limits.hold).push_bind(limits.severity.as_str());
        });
        query.push(" ON CONFLICT ").push(unique).push(
            " DO UPDATE SET enabled = excluded.enabled, limit_value = excluded.limit_value,
              lower_value = excluded.lower_value, hold = excluded.hold, severity = excluded.severity");
        query.build().execute(conn).await.map(drop)
    })
}

/// Takes back what was set.
pub async fn reset(tx: &mut Tx, chat_id: ChatId, server_id: Option<ServerId>, rule: Rule) -> Result<()> {
    execute!(
        tx,
        sqlx::query(
            "DELETE FROM thresholds WHERE chat_id = $1 AND rule = $3 AND (server_id = $2 OR (server_id IS NULL AND $2 IS NULL))"
        )
        .bind(chat_id)
        .bind(server_id)
        .bind(rule.as_str())
    )?;
    Ok(())
}

/// Gives one rule's limits in every chat.
pub async fn of_rule(tx: &mut Tx, rule: Rule) -> Result<Thresholds> {
    let rows: Vec<Row> = on!(tx, conn => sqlx::query_as(
        "SELECT chat_id, server_id, rule, enabled, limit_value, lower_value, hold, severity FROM thresholds WHERE rule = $1")
        .bind(rule.as_str()).fetch_all(conn).await)?;
    Ok(rows.into_iter().filter_map(Row::into_entry).collect())
}

/// Lets the limits of a server come along to another chat.
pub async fn relocate(tx: &mut Tx, server_id: ServerId, to: ChatId) -> Result<()> {
    execute!(tx, sqlx::query("UPDATE thresholds SET chat_id = $2 WHERE server_id = $1").bind(server_id).bind(to))?;
    Ok(())
}

/// Forgets all limits of a chat.
pub async fn forget_chat(tx: &mut Tx, chat_id: ChatId) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM thresholds WHERE chat_id = $1").bind(chat_id))?;
    Ok(())
}
