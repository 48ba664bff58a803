//! Whatever answers in the backend's place: proxies, portals, maintenance pages. Nothing is lost by it, and nobody is silenced.

use std::{collections::BTreeSet, time::Duration};

use osm_protocol::{key::PublicKey, messages::problem};
use osm_tests::process::{Host, LISTED, terminate};
use serde_json::json;

use crate::backend::{Answer, Backend, PROBLEM, Proof, key, key_set, like, root, signed, wire};

/// Two minutes until the way of the commands counts as broken, and a report after that.
const BROKEN: Duration = Duration::from_mins(3);

/// When the reports that wait on the host were measured.
fn waiting(host: &Host) -> BTreeSet<i64> {
    let time = |name: &String| name.split('_').nth(1).and_then(|at| at.parse().ok());
    host.spooled().iter().filter_map(time).collect()
}

/// Answers the agent's requests so until a report was tried, and again honestly; gives what was kept meanwhile.
fn through(backend: &Backend, host: &Host, answer: Answer) -> BTreeSet<i64> {
    let said = format!("{answer:?}");
    let before = backend.with(|state| {
        state.answer = Some(answer);
        state.reports_asked
    });
    backend.until(&said, |state| state.reports_asked > before);
    backend.until("a report that is kept", |_| !waiting(host).is_empty());
    let kept = waiting(host);
    let taken = backend.with(|state| {
        state.answer = None;
        state.reports.len()
    });
    backend.until(&format!("a report soon after {said}"), |state| state.reports.len() > taken);
    kept
}

fn come(backend: &Backend, kept: &BTreeSet<i64>) {
    backend.until("every report that was kept", |state| {
        let come: BTreeSet<i64> = state.batches().iter().flatten().map(|report| report.at).collect();
        kept.is_subset(&come)
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_any_status_loses_no_report_and_costs_one_interval() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let mut kept = BTreeSet::new();
    for status in [200, 400, 401, 403, 410, 413, 503] {
        kept.extend(through(&backend, &host, Answer::Page(status)));
    }
    come(&backend, &kept);
    let said = running.stderr();
    assert!(
        said.contains("something in between answers in the backend's place (403 Forbidden, text/html, “We will be back soon”)"),
        "{said}"
    );
    assert!(!said.contains("no longer knows"), "{said}");
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_looks_like_the_backends_word_loses_no_report_and_costs_one_interval() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let stranger = Proof { signer: key(9), ..Proof::honest() };
    let foreign_set = Proof { key_set: key_set(1, &key(9), &[PublicKey::from(&key(2)).to_string()]), ..Proof::honest() };
    let another_agent = Proof { agent: Some(PublicKey::from(&key(9))), ..Proof::honest() };
    let kept_from_before = Proof { said_ms: -600_000, ..Proof::honest() };
    let mut kept = BTreeSet::new();
    for answer in [
        like(410, PROBLEM, problem::REMOVED, "NONCE"),
        like(422, PROBLEM, problem::INVALID, "an answer to another request"),
        like(401, "application/json", problem::CLOCK_SKEW, "NONCE"),
        Answer::Like(200, "application/json", json!({ "now": 1, "key_set_version": 9, "nonce": "another" }).to_string()),
        Answer::Removed(Box::new(stranger)),
        Answer::Removed(Box::new(foreign_set)),
        Answer::Removed(Box::new(another_agent)),
        Answer::Removed(Box::new(kept_from_before)),
    ] {
        kept.extend(through(&backend, &host, answer));
    }
    come(&backend, &kept);
    let said = running.stderr();
    assert!(!said.contains("no longer knows") && !said.contains("clock is"), "{said}");
    assert_eq!(backend.with(|state| state.keys_asked), 0, "nobody in between sends it after keys");
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_the_backend_itself_refuses_is_kept_and_not_in_the_way() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let kept = through(&backend, &host, like(422, PROBLEM, problem::INVALID, "NONCE"));
    let taken = backend.with(|state| state.reports.len());
    backend.until("two more reports", |state| state.reports.len() >= taken + 2);
    assert!(kept.is_subset(&waiting(&host)), "{kept:?} {:?}", host.spooled());
    terminate(running);
    // A newer agent, or a newer backend.
    let running = host.run();
    come(&backend, &kept);
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_is_told_until_the_backend_itself_has_taken_it() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let payload = backend.payload(json!({ "type": "restart-service", "unit": LISTED }));
    let answers = [
        Answer::Page(200),
        Answer::Status(204),
        Answer::Page(404),
        Answer::Like(200, "application/json", json!({ "nonce": "another" }).to_string()),
        like(404, PROBLEM, problem::NOT_FOUND, "NONCE"),
    ];
    let tries = answers.len() + 1;
    backend.with(|state| {
        state.outcome_answers = answers.into();
        state.offer = Some(vec![wire(&signed(&payload))]);
    });
    backend.until("the outcome, once more than it was refused", |state| state.outcomes.len() >= tries);
    backend.until("a note that it is told", |_| host.ledger().contains(r#""fact":"delivered""#));
    assert_eq!(backend.with(|state| state.outcomes.len()), tries);
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unpairing_wants_the_backends_own_word() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    for answer in [Answer::Page(200), Answer::Page(410), Answer::Status(204), like(410, PROBLEM, problem::REMOVED, "NONCE")] {
        backend.with(|state| state.answer = Some(answer.clone()));
        let said = host.output(&mut host.command(&["unpair"]));
        assert!(said.stderr.contains("did not confirm"), "{answer:?}: {said:?}");
        assert!(host.state_dir().join("state.json").exists(), "{answer:?}");
    }
    backend.with(|state| state.answer = None);
    host.output(&mut host.command(&["unpair"])).succeeded();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_may_bring_the_keys_that_prove_it() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    // The rotation was missed.
    let rotated = key_set(2, &root(), &[PublicKey::from(&key(3)).to_string()]);
    let proof = Proof { key_set: rotated, signer: key(3), ..Proof::honest() };
    backend.with(|state| state.answer = Some(Answer::Removed(Box::new(proof))));
    let running = host.run();
    running.says("no longer knows this server");
    backend.until("the new keys", |_| host.output(&mut host.command(&["status"])).succeeded().contains("version 2"));
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_that_cannot_be_asked_for_while_reports_arrive_are_told() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    backend.with(|state| state.poll_answer = Some(Answer::Page(504)));
    let running = host.run();
    let is_told = |state: &mut crate::backend::State| {
        let newest = state.batches().pop().and_then(|mut batch| batch.pop());
        newest.and_then(|report| report.commands_unreachable).is_some_and(|why| why.contains("504 Gateway Timeout"))
    };
    backend.until_within(BROKEN, "a report that says so", is_told);
    running.says("commands do not reach this machine");
    assert!(host.output(&mut host.command(&["status"])).succeeded().contains("do not reach this machine"));
    backend.with(|state| state.poll_answer = None);
    backend.until_within(BROKEN, "the word that they can", |_| running.stderr().contains("commands can be asked for again"));
    terminate(running);
}
