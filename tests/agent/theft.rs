//! A thief has the command key for an hour, and what SECURITY.md says to do then is done (finding 3).

use std::fs;

use osm_protocol::{
    action::{OutcomeKind, Rejection},
    command::SEQ_AHEAD_MS,
    envelope::{self, Envelope},
    key::PublicKey,
};
use osm_tests::process::terminate;
use serde_json::{Value, json};

use crate::{
    backend::{Answer, Backend, Proof, command_key, key, key_set, now, root, signed, wire},
    doctor::examine,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stolen_key_did_ends_with_its_rotation() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let jti = |payload: &Value| payload["jti"].as_str().unwrap().to_owned();
    let with = |field: &str, value: i64| {
        let mut payload = backend.payload(json!({ "type": "clean-journal" }));
        payload[field] = json!(value);
        payload
    };
    // All the numbers there will ever be, ten years of validity: passed over, and what comes behind is done.
    let (for_ever, for_years) = (with("seq", i64::MAX), with("exp", now() + 10 * 365 * 86_400_000));
    backend.serve([wire(&signed(&for_ever)), wire(&signed(&for_years))]);
    assert!(backend.with(|state| state.outcome(&jti(&for_ever)).is_none() && state.outcome(&jti(&for_years)).is_none()));
    // As far ahead as an agent lets it: the honest backend's commands are dead for a day.
    let far = with("seq", now() + SEQ_AHEAD_MS - 60_000);
    backend.with(|state| state.offer = Some(vec![wire(&signed(&far))]));
    backend.until("the outcome of the thief's command", |state| state.outcome(&jti(&far)).is_some());
    backend.until("a poll behind it", |state| state.polls.last() == Some(&far["seq"].as_i64().unwrap()));

    // `osm-api keys rotate --revoke`: a new key, and the stolen one left out at once.
    backend.with(|state| {
        state.signer = Some(key(66));
        state.key_set = Some((2, key_set(2, &root(), &[PublicKey::from(&key(66)).to_string()])));
    });
    backend.until("a poll that counts from the clock again", |state| state.polls.last().is_some_and(|after| *after < now()));
    let mut honest = backend.payload(json!({ "type": "run-logrotate" }));
    honest["seq"] = json!(now());
    let again = with("seq", now() + 1_000);
    let envelope = Envelope::sign(envelope::COMMAND, honest.to_string().as_bytes(), &key(66));
    backend.with(|state| state.offer = Some(vec![wire(&signed(&again)), wire(&envelope)]));
    backend.until("the outcome of the honest command", |state| state.outcome(&jti(&honest)).is_some());
    assert!(backend.with(|state| state.outcome(&jti(&again)).is_none()), "the stolen key signs for nothing any more");
    let reports = backend.with(|state| state.reports.len());
    backend.until("reports that go on", |state| state.reports.len() > reports);
    assert_ne!(PublicKey::from(&command_key()), PublicKey::from(&key(66)));
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removal_that_a_stolen_key_signed_ends_with_its_rotation() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    backend.with(|state| state.answer = Some(Answer::Removed(Box::new(Proof::honest()))));
    let running = host.run();
    running.says("no longer knows this server");
    backend.until("a report that is kept", |_| !host.spooled().is_empty());
    assert!(host.state_dir().join("state.json").exists(), "it deletes nothing");

    // `osm-api keys rotate --revoke`, and the agent asks again: hourly, or when it starts.
    backend.with(|state| {
        state.answer = None;
        state.signer = Some(key(66));
        state.key_set = Some((2, key_set(2, &root(), &[PublicKey::from(&key(66)).to_string()])));
    });
    terminate(running);
    let running = host.run();
    backend.until("all that was kept", |state| !state.reports.is_empty() && host.spooled().is_empty());
    backend.until("the new keys", |_| host.state_dir().join("keys.json").exists());

    // The thief, once more: nothing but an interval is lost.
    let taken = backend.with(|state| {
        state.answer = Some(Answer::Removed(Box::new(Proof::honest())));
        state.reports_asked = 0;
        state.reports.len()
    });
    backend.until("two more tries", |state| state.reports_asked >= 2);
    backend.with(|state| state.answer = None);
    backend.until("reports that go on", |state| state.reports.len() > taken + 1 && host.spooled().is_empty());
    assert!(!running.stderr().contains("no longer knows"), "{}", running.stderr());
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_ledger_that_cannot_be_used_reports_go_on_and_everybody_is_told() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let ledger = host.state_dir().join("ledger.jsonl");
    // What a flood once left behind: more than is read.
    fs::write(&ledger, vec![b'\n'; 16 * 1024 * 1024 + 1]).unwrap();
    let running = host.run();
    backend.until("two reports", |state| state.reports.len() >= 2);
    for report in backend.with(|state| state.batches()).iter().flatten() {
        assert!(report.monitored_only.as_ref().is_some_and(|why| why.contains("ledger.jsonl cannot be used")), "{report:?}");
        assert!(report.chores.is_empty() && report.services.iter().all(|service| !service.restartable), "{report:?}");
    }
    let payload = backend.payload(json!({ "type": "clean-journal" }));
    let jti = payload["jti"].as_str().unwrap().to_owned();
    backend.with(|state| state.offer = Some(vec![wire(&signed(&payload))]));
    backend.until("a refusal by name", |state| state.outcome(&jti).is_some());
    let outcome = backend.with(|state| state.outcome(&jti).cloned()).unwrap();
    assert_eq!((outcome.result, outcome.reason), (OutcomeKind::Rejected, Some(Rejection::Unsupported)));
    let status = host.output(&mut host.command(&["status"])).succeeded();
    assert!(status.contains("Commands     refused") && status.contains("ledger.jsonl cannot be used"), "{status}");
    let found = examine(&host, |_| {});
    assert!(found.line("ledger").contains("Move it away"), "{found:?}");
    terminate(running);

    fs::remove_file(&ledger).unwrap();
    let reports = backend.with(|state| state.reports.len());
    let running = host.run();
    backend.until("a report", |state| state.reports.len() > reports);
    assert_eq!(backend.with(|state| state.batches().last().unwrap()[0].monitored_only.clone()), None);
    terminate(running);
}
