//! `osm-agent run` over hours and faults: what it sends, keeps, retries, and when it stops.

use std::fs;

use osm_protocol::{
    action::{OutcomeKind, Rejection},
    envelope::{self, Envelope},
    key::PublicKey,
};
use osm_tests::process::{Host, LISTED, terminate};
use serde_json::{Value, json};

use crate::backend::{Answer, Backend, Proof, Served, command_key, key, key_set, now, root, signed, wire};

fn restart(unit: &str) -> Value {
    json!({ "type": "restart-service", "unit": unit })
}

fn status(host: &Host) -> String {
    host.output(&mut host.command(&["status"])).succeeded()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_paired_host_reports_and_stops_cleanly() {
    let backend = Backend::start().await;
    let host = Host::default();
    let said = host.pair(&backend.url, &backend.token.text()).succeeded();
    assert!(said.contains("Paired with") && said.contains("web-1"), "{said}");
    let running = host.run();
    backend.until("two reports", |state| state.reports.len() >= 2);
    let status = status(&host);
    assert!(status.contains("web-1") && status.contains("running") && status.contains("Last report"), "{status}");
    let batches = backend.with(|state| state.batches());
    let (first, second) = (&batches[0][0], &batches[1][0]);
    assert!(first.cpu.is_some() && second.cpu.is_some());
    assert_eq!(first.boot, second.boot);
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unpaired_host_waits_and_starts_when_it_is_paired() {
    let backend = Backend::start().await;
    let host = Host::default();
    let running = host.run();
    running.says("not paired. Get a line with /add_server in the chat");
    assert_eq!(backend.with(|state| state.requests), 0);
    assert!(status(&host).contains("Not paired"));
    host.pair(&backend.url, &backend.token.text()).succeeded();
    backend.until("a report", |state| !state.reports.is_empty());
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_off_is_measured_corrected_and_reported() {
    let backend = Backend::start().await;
    backend.with(|state| state.clock_ms = -3_600_000);
    let host = backend.paired("");
    let running = host.run();
    backend.until("three reports", |state| state.reports.len() >= 3);
    for report in backend.with(|state| state.batches()).iter().flatten() {
        let theirs = now() - 3_600_000;
        assert!(report.at.abs_diff(theirs) < 60_000, "{} {theirs}", report.at);
    }
    let ahead = backend.with(|state| state.batches().last().unwrap()[0].clock_ahead_ms);
    assert!(ahead.abs_diff(3_600_000) < 5_000, "{ahead}");
    // Commands are judged by the host's own clock, and the refusal says whose fault it is.
    let payload = backend.payload(restart(LISTED));
    backend.serve([wire(&signed(&payload))]);
    let outcome = backend.with(|state| state.outcome(payload["jti"].as_str().unwrap()).cloned()).unwrap();
    assert_eq!(outcome.reason, Some(Rejection::Clock));
    assert!(outcome.detail.contains("60 minutes off"), "{outcome:?}");
    assert!(status(&host).contains("ahead of the backend's"));
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_kept_comes_after_the_fresh_report_newest_first_and_once() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    backend.with(|state| state.answer = Some(Answer::Status(503)));
    let running = host.run();
    backend.until("three reports in the spool", |_| host.spooled().len() >= 3);
    terminate(running);
    let kept = host.spooled().len();
    // Over a restart of the agent.
    backend.with(|state| state.answer = None);
    let running = host.run();
    backend.until("the backlog, and a report after it", |state| state.reports.len() >= 3);
    let batches = backend.with(|state| state.batches());
    assert_eq!(batches[0].len(), 1, "the fresh one goes alone");
    let live = batches[0][0].at;
    let backlog: Vec<i64> = batches[1].iter().map(|report| report.at).collect();
    assert_eq!(backlog.len(), kept);
    assert!(backlog.iter().all(|&at| at < live) && backlog.is_sorted_by(|one, other| one > other), "{backlog:?}");
    let mut times: Vec<i64> = batches.iter().flatten().map(|report| report.at).collect();
    times.sort_unstable();
    assert!(times.is_sorted_by(|one, other| one < other), "each is sent once: {times:?}");
    backend.until("an empty spool", |_| host.spooled().is_empty());
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_is_told_until_its_answer_arrives_also_where_systemd_cannot_be_asked() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let payload = backend.payload(restart(LISTED));
    let jti = payload["jti"].as_str().unwrap();
    backend.with(|state| {
        state.lose_outcomes = 2;
        state.offer = Some(vec![wire(&signed(&payload))]);
    });
    backend.until("the outcome, three times", |state| state.outcomes.len() >= 3);
    backend.with(|state| {
        assert!(state.outcomes.iter().all(|told| *told == state.outcomes[0] && told.0 == jti), "{:?}", state.outcomes);
        let outcome = state.outcome(jti).unwrap();
        assert_eq!((outcome.result, outcome.reason), (OutcomeKind::Rejected, Some(Rejection::Unsupported)));
        assert!(outcome.detail.contains("systemd") || outcome.detail.contains("system bus"), "{outcome:?}");
    });
    backend.until("a note that it is told", |_| host.ledger().contains(r#""fact":"delivered""#));
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_command_keys_are_fetched_and_the_old_one_is_dead() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let new = key(3);
    let by = |signer, payload: &Value| wire(&Envelope::sign(envelope::COMMAND, payload.to_string().as_bytes(), signer));
    backend.with(|state| {
        state.key_set = Some((2, key_set(2, &root(), &[PublicKey::from(&new).to_string()])));
        state.signer = Some(new.clone());
    });
    let stored = host.state_dir().join("keys.json");
    backend.until("the new key set", |_| stored.exists());
    let dead = backend.payload(restart(LISTED));
    let Served { seq } = backend.serve([by(&command_key(), &dead)]);
    backend.with(|state| state.never.push(dead["jti"].as_str().unwrap().to_owned()));
    assert_eq!(backend.with(|state| state.outcomes.len()), 1, "only what the new key signed, seq {seq}");
    assert!(!host.ledger().contains(dead["jti"].as_str().unwrap()));
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_server_stops_sending_and_says_so() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    backend.with(|state| state.answer = Some(Answer::Removed(Box::new(Proof::honest()))));
    let running = host.run();
    running.says("no longer knows this server");
    backend.until("its status", |_| status(&host).contains("no longer knows this server"));
    let (requests, kept) = (backend.with(|state| state.requests), host.spooled().len());
    backend.until("two more reports, which are kept", |_| host.spooled().len() >= kept + 2);
    assert_eq!(backend.with(|state| state.requests), requests, "neither polls nor reports");
    terminate(running);
    // Taken off already: the proof of that is as good as the backend's consent.
    host.output(&mut host.command(&["unpair"])).succeeded();
    assert!(status(&host).contains("Not paired"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unpairing_tells_the_backend_and_forgets_the_key() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    assert!(host.output(&mut host.command(&["unpair"])).succeeded().contains("no longer paired"));
    assert!(backend.with(|state| state.left));
    assert!(!host.state_dir().join("state.json").exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clone_sends_nothing_until_it_is_paired_again() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let state = host.state_dir().join("state.json");
    let text = fs::read_to_string(&state).unwrap();
    let machine = backend.with(|state| state.pairs[0].machine.clone());
    fs::write(&state, text.replace(&machine, &"0".repeat(64))).unwrap();
    let requests = backend.with(|state| state.requests);
    let running = host.run();
    running.says("this machine is not the one that was paired");
    assert_eq!(backend.with(|state| state.requests), requests);
    // A clone becomes a server of its own: it replaces nobody.
    let next = osm_protocol::pairing_token::PairingToken::new([3; 16], &PublicKey::from(&root()));
    host.pair(&backend.url, &next.text()).succeeded();
    assert!(backend.with(|state| state.pairs[1].replaces.is_none()));
    backend.until("a report", |state| !state.reports.is_empty());
    terminate(running);
}
