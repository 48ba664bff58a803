//! What agents reported: the newest state of each server, and figures over time. Written in groups, one statement for many.

use std::borrow::Cow;

use osm_protocol::messages::Report;
use sqlx::QueryBuilder;

use super::db::{
    Result, Tx, execute,
    in_list::{AT_ONCE, InList as _},
    on, to_json,
};
use crate::domain::{
    Millis,
    alert::Rule,
    ids::{ChatId, ServerId},
};

/// What is known of a server before its report is applied.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct Known {
    pub id: ServerId,
    pub name: String,
    pub chat_id: ChatId,
    pub at: Option<i64>,
    pub received_at: Option<i64>,
    pub boot: Option<String>,
    pub previous_boot: Option<String>,
}

/// A server's new state.
pub struct State<'a> {
    pub server_id: ServerId,
    pub at: Millis,
    pub received_at: Millis,
    pub interval_s: i64,
    pub address: String,
    pub agent_version: String,
    pub boot: String,
    pub previous_boot: String,
    pub report: &'a Report,
}

/// One row of figures: percent, and load per CPU.
pub struct Figures {
    pub server_id: ServerId,
    pub at: Millis,
    pub received_at: Millis,
    pub cpu: Option<f64>,
    pub memory: Option<f64>,
    pub swap: Option<f64>,
    pub load: Option<f64>,
    pub disk: Option<f64>,
    pub inodes: Option<f64>,
}

/// Gives the servers among `ids` that are still paired.
pub async fn known(tx: &mut Tx, ids: &[ServerId]) -> Result<Vec<Known>> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(AT_ONCE) {
        let rows: Vec<Known> = on!(tx, conn => {
            let mut query = QueryBuilder::new(
                "SELECT s.id, s.name, s.chat_id, t.at, t.received_at, t.boot, t.previous_boot
                 FROM servers s LEFT JOIN server_states t ON t.server_id = s.id
                 WHERE s.unpaired_at IS NULL AND s.id");
            query.push_in(ids);
            query.build_query_as().fetch_all(conn).await
        })?;
        found.extend(rows);
    }
    Ok(found)
}

/// These were heard of, by reports that are no newer than what is known.
pub async fn touch(tx: &mut Tx, server_ids: &[ServerId], now: Millis) -> Result<()> {
    for ids in server_ids.chunks(AT_ONCE) {
        on!(tx, conn => {
            let mut query = QueryBuilder::new("UPDATE server_states SET received_at = ");
            query.push_bind(now).push(" WHERE server_id");
            query.push_in(ids);
            query.build().execute(conn).await.map(drop)
        })?;
    }
    Ok(())
}

/// Writes the newest states; the caller has seen that each is newer than what is known.
pub async fn put_states(tx: &mut Tx, states: &[State<'_>]) -> Result<()> {
    for states in states.chunks(AT_ONCE) {
        on!(tx, conn => {
            let mut query = QueryBuilder::new(
                "INSERT INTO server_states (server_id, at, received_at, interval_s, address, agent_version, boot, previous_boot,
                 report) ");
            query.push_values(states, |mut row, state| {
                row.push_bind(state.server_id).push_bind(state.at).push_bind(state.received_at).push_bind(state.interval_s)
                    .push_bind(&state.address)
                    .push_bind(&state.agent_version).push_bind(&state.boot).push_bind(&state.previous_boot)
                    .push_bind(stored(state.report));
            });
            query.push(
                " ON CONFLICT (server_id) DO UPDATE SET at = excluded.at, received_at = excluded.received_at,
                  interval_s = excluded.interval_s, address = excluded.address, agent_version = excluded.agent_version,
                  boot = excluded.boot, previous_boot = excluded.previous_boot, report = excluded.report");
            query.build().execute(conn).await.map(|_| ())
        })?;
    }
    Ok(())
}

/// Processes are for the alert that they explain, and are kept nowhere else.
fn stored(report: &Report) -> String {
    let report = if report.processes.is_empty() {
        Cow::Borrowed(report)
    } else {
        Cow::Owned(Report { processes: Vec::new(), ..report.clone() })
    };
    to_json(&report)
}

/// Writes figures; the same report twice is one row.
pub async fn put_figures(tx: &mut Tx, figures: &[Figures]) -> Result<()> {
    for figures in figures.chunks(AT_ONCE) {
        on!(tx, conn => {
            let mut query = QueryBuilder::new(
                "INSERT INTO reports (server_id, at, received_at, cpu, memory, swap, load, disk, inodes) ");
            query.push_values(figures, |mut row, figures| {
                row.push_bind(figures.server_id).push_bind(figures.at).push_bind(figures.received_at).push_bind(figures.cpu)
                    .push_bind(figures.memory).push_bind(figures.swap).push_bind(figures.load).push_bind(figures.disk)
                    .push_bind(figures.inodes);
            });
            query.push(" ON CONFLICT (server_id, at) DO NOTHING");
            query.build().execute(conn).await.map(|_| ())
        })?;
    }
    Ok(())
}

/// Gives a server's newest figures of one kind since a time, newest first.
pub async fn history(tx: &mut Tx, server_id: ServerId, rule: Rule, since: Millis, limit: i64) -> Result<Vec<(i64, f64)>> {
    let column = match rule {
        Rule::Cpu => "cpu",
        Rule::Memory => "memory",
        Rule::Swap => "swap",
        Rule::Disk => "disk",
        Rule::Inodes => "inodes",
        Rule::Load => "load",
        Rule::ReadOnly
        | Rule::NoAnswer
        | Rule::Service
        | Rule::Restarts
        | Rule::NotReady
        | Rule::Down
        | Rule::Unit
        | Rule::Offline
        | Rule::Reboot
        | Rule::Clock
        | Rule::Commands => return Ok(Vec::new()),
    };
    on!(tx, conn => {
        let mut query = QueryBuilder::new("SELECT at, ");
        query.push(column).push(" FROM reports WHERE server_id = ").push_bind(server_id).push(" AND at >= ").push_bind(since);
        query.push(" AND ").push(column).push(" IS NOT NULL ORDER BY at DESC LIMIT ").push_bind(limit);
        query.build_query_as().fetch_all(conn).await
    })
}

/// Deletes a small step of what is older; whether there may be more.
pub async fn prune(tx: &mut Tx, before: Millis, step: i64) -> Result<bool> {
    let done =
        execute!(tx, sqlx::query(
        "DELETE FROM reports WHERE at < $1 AND (server_id, at) IN (SELECT server_id, at FROM reports WHERE at < $1 LIMIT $2)")
        .bind(before).bind(step))?;
    Ok(i64::try_from(done).unwrap_or_default() == step)
}

pub async fn count(tx: &mut Tx, server_id: ServerId) -> Result<i64> {
    on!(tx, conn => sqlx::query_scalar("SELECT CAST(COUNT(*) AS BIGINT) FROM reports WHERE server_id = $1")
        .bind(server_id).fetch_one(conn).await)
}
