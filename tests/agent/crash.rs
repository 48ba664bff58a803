//! The agent dies at any point on the way of a pairing, a report and a command.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use osm_tests::process::{Host, LISTED, terminate};
use serde_json::json;
use tokio::{runtime::Handle, task::JoinSet};

use crate::backend::{Backend, signed, wire};

/// Tells of one host, whose agent dies at this point in `pair` and in `run`: whatever it died of, the host is paired, its reports
/// arrive, and its command is taken up at most once and answered.
async fn tell(at: Option<usize>, log: &Path) {
    let backend = Backend::start().await;
    let host = Host::default();
    let crash = |command: &mut Command| {
        command.env("OSM_CRASH_LOG", log);
        if let Some(at) = at {
            command.env("OSM_CRASH_AT", at.to_string());
        }
    };
    let token = backend.token.text();
    if host.pair_with(&backend.url, &token, crash).crashed() {
        host.pair(&backend.url, &token).succeeded();
    }
    let mut command = host.command(&["run"]);
    crash(&mut command);
    let mut running = host.start(&mut command);
    let payload = backend.payload(json!({ "type": "restart-service", "unit": LISTED }));
    let jti = payload["jti"].as_str().unwrap().to_owned();
    // As the true backend does: handed out until its seq is passed.
    backend.with(|state| state.queue = Some((payload["seq"].as_i64().unwrap(), wire(&signed(&payload)))));
    let is_done = |state: &mut crate::backend::State| state.reports.len() >= 2 && state.outcome(&jti).is_some();
    backend.until("all that, or a crash", |state| is_done(state) || running.has_ended().unwrap().is_some());
    // What has not died yet dies now, in the middle of whatever it does.
    drop(running);
    let before = backend.with(|state| state.polls.len());
    let running = host.run();
    backend.until("two reports, the outcome, and work as usual", |state| is_done(state) && state.polls.len() > before);
    terminate(running);
    backend.with(|state| {
        let outcomes: BTreeSet<String> =
            state.outcomes.iter().map(|(_, outcome)| format!("{:?}", (outcome.result, outcome.reason))).collect();
        assert_eq!(outcomes.len(), 1, "{at:?}: one command, one outcome: {:?}", state.outcomes);
    });
    assert!(host.ledger().matches("\"act\"").count() <= 1, "{at:?}: {}", host.ledger());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_crash_at_any_point_loses_nothing_and_does_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("points");
    tell(None, &log).await;
    let points: Vec<String> =
        fs::read_to_string(&log).expect("crash points: run `make test`").lines().map(str::to_owned).collect();
    for name in
        ["pair.key_persisted", "pair.stored", "spool.appended", "report.acknowledged", "ledger.taken", "outcome.acknowledged"]
    {
        assert!(points.iter().any(|point| point == name), "{name} is not passed: {points:?}");
    }
    // Pairing and running count from 1 each; the longer of the two sets how far.
    let other = folder.path().join("other");
    let mut hosts = JoinSet::new();
    for at in 1..=points.len() {
        let other = other.clone();
        hosts.spawn_blocking(move || Handle::current().block_on(tell(Some(at), &other)));
    }
    while let Some(host) = hosts.join_next().await {
        host.unwrap();
    }
}
