//! A backend that was stolen, or a network that replays and forges: what is not truly for this agent is never answered and
//! moves nothing; what is, and is refused, is refused by name and used up. Nothing is done in either case.

use std::time::{Duration, Instant};

use osm_protocol::{
    action::{Outcome, OutcomeKind, Rejection},
    envelope::{self, Envelope},
    key::PublicKey,
};
use osm_tests::process::{Host, LISTED, terminate};
use serde_json::{Value, json};

use crate::backend::{Backend, Served, command_key, key, key_set, now, root, signed, wire};

fn restart(unit: &str) -> Value {
    json!({ "type": "restart-service", "unit": unit })
}

fn with(mut payload: Value, pointer: &str, value: Value) -> Value {
    let (parent, field) = pointer.rsplit_once('/').unwrap();
    payload.pointer_mut(parent).unwrap()[field] = value;
    payload
}

/// Whether anything was ever about to be done on this host.
fn acted(host: &Host) -> bool {
    host.ledger().contains("\"act\"")
}

fn highest_seq(host: &Host) -> i64 {
    let facts = host.ledger();
    let seqs = facts.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter_map(|fact| fact["seq"].as_i64());
    seqs.max().unwrap_or(0)
}

/// A seq far above all others: had it been taken up, no later command would be.
const FAR: i64 = 1_000_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_truly_for_this_agent_is_never_answered_and_moves_nothing() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let good = || {
        let payload = backend.payload(restart(LISTED));
        let seq = payload["seq"].as_i64().unwrap() + FAR;
        with(payload, "/seq", json!(seq))
    };
    let stranger = key(66);
    let small_order = "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let mut cases: Vec<(&str, String)> = Vec::new();
    let mut add = |what, envelope: Value| cases.push((what, envelope.to_string()));
    let json = |envelope: &Envelope| serde_json::to_value(envelope).unwrap();

    let forged = Envelope::sign(envelope::COMMAND, good().to_string().as_bytes(), &stranger);
    add("signed by a stranger", json(&forged));
    add(
        "signed by a stranger under the true key's name",
        with(json(&forged), "/signatures/0/keyid", json!(PublicKey::from(&command_key()).id())),
    );
    add(
        "signed by the root key, whose role it is not",
        json(&Envelope::sign(envelope::COMMAND, good().to_string().as_bytes(), &root())),
    );
    let other = signed(&good());
    add("another's signature", with(json(&signed(&good())), "/signatures/0/sig", json!(other.signatures[0].sig)));
    add("another's payload", with(json(&signed(&good())), "/payload", json!(other.payload)));
    add("no signature", with(json(&signed(&good())), "/signatures", json!([])));
    let two = json(&signed(&good()));
    add("two signatures", with(two.clone(), "/signatures", json!([two["signatures"][0], two["signatures"][0]])));
    let stranger_too = json!([two["signatures"][0], json(&forged)["signatures"][0]]);
    add("a true signature and a stranger's", with(two, "/signatures", stranger_too));
    add("a signature under a key of small order", {
        // With the neutral element as key, R = 0·B + neutral and s = 0 fulfil the equation that `verify` checks.
        let mut sig = [0_u8; 64];
        sig[0] = 1;
        let sig = data_encoding::BASE64.encode(&sig);
        let id = data_encoding::BASE64URL_NOPAD
            .encode(&sha256(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{small_order}"}}"#).as_bytes()));
        with(with(json(&signed(&good())), "/signatures/0/sig", json!(sig)), "/signatures/0/keyid", json!(id))
    });
    add("another type", json(&Envelope::sign(envelope::PAIRING, good().to_string().as_bytes(), &command_key())));
    add("a type that was changed afterwards", with(json(&signed(&good())), "/payloadType", json!(envelope::KEY_SET)));
    add("for another server", json(&signed(&with(good(), "/aud/server_id", json!("0190a6b0-7c00-7000-8000-00000000cccc")))));
    add("for another agent key", json(&signed(&with(good(), "/aud/agent_key", json!(PublicKey::from(&stranger).to_string())))));
    add("an extra field in the envelope", with(json(&signed(&good())), "/extra", json!(1)));
    add("an extra field beside the signature", with(json(&signed(&good())), "/signatures/0/extra", json!(1)));
    add("an extra field in the audience", json(&signed(&with(good(), "/aud/extra", json!(1)))));
    let array = good();
    let array =
        json!([1, "i", array["aud"], array["jti"], array["seq"], array["iat"], array["nbf"], array["exp"], array["action"], "x"]);
    add("a payload in array form", json(&signed(&array)));
    let parts = json(&signed(&good()));
    add("an envelope in array form", json!([parts["payload"], parts["payloadType"], parts["signatures"]]));
    add("over 16 KiB", json(&signed(&with(good(), "/requested_by", json!("x".repeat(16 * 1024))))));
    let in_an_hour = with(with(good(), "/nbf", json!(now() + 3_600_000)), "/exp", json!(now() + 3_720_000));
    add("to be valid in an hour", json(&signed(&in_an_hour)));
    add("valid for an hour", json(&signed(&with(good(), "/exp", json!(now() + 3_600_000)))));
    add("all the numbers there will ever be", json(&signed(&with(good(), "/seq", json!(i64::MAX)))));
    add("no envelope", json!("envelope"));
    add("nothing", Value::Null);
    add("a payload that is no JSON", json(&Envelope::sign(envelope::COMMAND, b"\0\xff", &command_key())));
    add("base64 of another alphabet", with(json(&signed(&good())), "/payload", json!("__--")));

    cases.push(("over 16 KiB of blanks", wire(&signed(&good())).replacen('{', &format!("{{{}", " ".repeat(16 * 1024)), 1)));
    let all = cases.len();
    let Served { seq } = backend.serve(cases.iter().map(|(_, envelope)| envelope.clone()));
    assert_eq!(backend.with(|state| state.outcomes.len()), 1, "of {all} only the plain one is answered");
    assert_eq!(highest_seq(&host), seq, "{}", host.ledger());
    assert!(!acted(&host), "{}", host.ledger());
    backend.until("a poll after it", |state| state.polls.last() == Some(&seq));
    // Each for itself too: none of them hides behind another.
    for (what, envelope) in cases {
        let before = backend.with(|state| state.outcomes.len());
        let Served { seq } = backend.serve([envelope]);
        assert_eq!(backend.with(|state| state.outcomes.len()), before + 1, "{what}");
        assert_eq!(highest_seq(&host), seq, "{what}");
    }
    assert!(!acted(&host), "{}", host.ledger());
    assert!(!running.stderr().contains("panicked"), "{}", running.stderr());
    terminate(running);
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    // The digest of RFC 9530 is the same function, and spares this crate another dependency.
    let header = osm_protocol::request_signature::content_digest(bytes);
    let encoded = header.trim_start_matches("sha-256=:").trim_end_matches(':');
    data_encoding::BASE64.decode(encoded.as_bytes()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_truly_for_this_agent_and_refused_is_refused_by_name_and_used_up() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let fresh = || backend.payload(restart(LISTED));
    let action = |action: Value| backend.payload(action);
    let shifted = |payload: Value, minutes: i64| {
        let payload = with(payload, "/nbf", json!(now() + minutes * 60_000));
        with(payload, "/exp", json!(now() + minutes * 60_000 + 120_000))
    };
    for (what, payload, reason) in [
        ("expired", shifted(fresh(), -60), Rejection::Expired),
        ("not yet valid", shifted(fresh(), 4), Rejection::Clock),
        ("an unknown action", action(json!({ "type": "run-shell", "command": "id" })), Rejection::Unknown),
        ("no action", action(Value::Null), Rejection::Unknown),
        ("an action in array form", action(json!(["restart-service", LISTED])), Rejection::Unknown),
        ("a later version", with(fresh(), "/v", json!(2)), Rejection::Unknown),
        ("an extra field outside the action", with(fresh(), "/extra", json!(1)), Rejection::Unknown),
        ("an extra field inside the action", with(fresh(), "/action/arguments", json!("--now")), Rejection::Unknown),
        ("an extra field inside an action without any", action(json!({ "type": "reboot", "at": 0 })), Rejection::Unknown),
        ("a field of the wrong type", action(json!({ "type": "restart-service", "unit": [LISTED] })), Rejection::Unknown),
        ("a unit that is not on the list", action(restart("ssh.service")), Rejection::UnitNotListed),
        ("a pattern of units", action(restart("*")), Rejection::UnitNotListed),
        ("a path for a unit", action(restart("../../etc/x.service")), Rejection::UnitNotListed),
        ("an option for a unit", action(restart("--force")), Rejection::UnitNotListed),
        ("the agent's own unit", action(restart("osm-agent.service")), Rejection::UnitNotListed),
    ] {
        // Made before the ones ahead of it were served: it needs a seq of now.
        let name = backend.payload(Value::Null);
        let payload = with(with(payload, "/jti", name["jti"].clone()), "/seq", name["seq"].clone());
        let jti = name["jti"].as_str().unwrap().to_owned();
        let Served { seq } = backend.serve([wire(&signed(&payload))]);
        let outcome = backend.with(|state| state.outcome(&jti).cloned()).unwrap_or_else(|| panic!("{what}: no outcome"));
        assert_eq!((outcome.result, outcome.reason), (OutcomeKind::Rejected, Some(reason)), "{what}: {outcome:?}");
        assert!(host.ledger().contains(&jti), "{what}");
        assert_eq!(highest_seq(&host), seq);
        // The same envelope once more, and its seq under another name: neither is answered.
        let answers = backend.with(|state| state.outcomes.len());
        let renamed = with(payload.clone(), "/jti", json!("0190a6b0-7c00-7000-8000-00000000dddd"));
        backend.serve([wire(&signed(&payload)), wire(&signed(&renamed))]);
        let since = backend.with(|state| state.outcomes[answers..].to_vec());
        assert_eq!(since.len(), 1, "{what}, replayed: {since:?}\n{}", running.stderr());
    }
    assert!(!acted(&host), "{}", host.ledger());
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_true_command_is_taken_up_once_whatever_is_replayed_and_too_many_are_refused() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let first = backend.payload(restart(LISTED));
    let jti = first["jti"].as_str().unwrap().to_owned();
    let envelope = wire(&signed(&first));
    backend.serve([envelope.clone(), envelope.clone()]);
    // Without a system bus it comes to nothing; what counts is that it was admitted, written down and answered.
    let outcome: Outcome = backend.with(|state| state.outcome(&jti).cloned()).unwrap();
    assert_ne!(outcome.reason, Some(Rejection::UnitNotListed));
    assert_eq!(host.ledger().matches("\"act\"").count(), 1, "{}", host.ledger());

    // A seq that goes back, an id that was used before, and one that would leave the path of its outcome.
    let old = with(backend.payload(restart(LISTED)), "/seq", json!(first["seq"].as_i64().unwrap() - 1));
    let again = with(backend.payload(restart(LISTED)), "/jti", json!(jti));
    let escaping = with(backend.payload(restart(LISTED)), "/jti", json!("../../unpair"));
    let answers = backend.with(|state| state.outcomes.len());
    backend.serve([old, again, escaping].iter().map(|payload| wire(&signed(payload))));
    assert_eq!(backend.with(|state| state.outcomes.len()), answers + 1);
    assert_eq!(host.ledger().matches("\"act\"").count(), 1, "{}", host.ledger());

    // A second one within the host's 30 s.
    let second = backend.payload(restart(LISTED));
    backend.serve([wire(&signed(&second))]);
    let outcome = backend.with(|state| state.outcome(second["jti"].as_str().unwrap()).cloned()).unwrap();
    assert_eq!(outcome.reason, Some(Rejection::Rate), "{outcome:?}");

    // A replay after a restart of the agent, which has noted that all its answers arrived: else it would give them again.
    let noted = || host.ledger().matches(r#""fact":"delivered""#).count();
    backend.until("a note of every answer", |state| noted() == state.outcomes.len());
    terminate(running);
    let polls = backend.with(|state| state.polls.len());
    let running = host.run();
    backend.until("a poll", |state| state.polls.len() > polls);
    let answers = backend.with(|state| state.outcomes.len());
    backend.serve([envelope]);
    assert_eq!(backend.with(|state| state.outcomes.len()), answers + 1);
    assert_eq!(host.ledger().matches("\"act\"").count(), 1, "{}", host.ledger());
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_root_forbids_in_agent_toml_is_refused_whoever_asks() {
    let backend = Backend::start().await;
    let host = backend.paired("[actions]\nrestart_service = false\nreboot = false\n");
    let running = host.run();
    let payload = backend.payload(restart(LISTED));
    backend.serve([wire(&signed(&payload))]);
    backend.with(|state| {
        assert_eq!(state.outcome(payload["jti"].as_str().unwrap()).unwrap().reason, Some(Rejection::Policy));
        assert!(state.outcomes.iter().all(|(_, outcome)| outcome.reason == Some(Rejection::Policy)));
    });
    assert!(!acted(&host));
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_set_that_is_weak_old_or_of_another_is_not_taken_up() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let honest = PublicKey::from(&command_key()).to_string();
    let stolen = PublicKey::from(&key(66)).to_string();
    for (what, set) in [
        (
            "a key of small order",
            key_set(5, &root(), &["AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(), stolen.clone()]),
        ),
        ("signed by a command key", key_set(6, &command_key(), std::slice::from_ref(&stolen))),
        ("signed by a stranger", key_set(7, &key(9), std::slice::from_ref(&stolen))),
        ("without any key", key_set(8, &root(), &[])),
        ("the root key as a command key", key_set(9, &root(), &[PublicKey::from(&root()).to_string(), stolen.clone()])),
        ("an older one", key_set(0, &root(), std::slice::from_ref(&stolen))),
    ] {
        let asked = backend.with(|state| {
            // Receipts tell of a newer one, whatever it turns out to be.
            state.key_set = Some((10, set));
            state.keys_asked
        });
        backend.until("the key set", |state| state.keys_asked > asked);
        let payload = backend.payload(json!({ "type": "clean-journal" }));
        let forged = Envelope::sign(envelope::COMMAND, payload.to_string().as_bytes(), &key(66));
        backend.serve([wire(&forged)]);
        assert!(backend.with(|state| state.outcome(payload["jti"].as_str().unwrap()).is_none()), "{what}");
        assert!(!host.state_dir().join("keys.json").exists(), "{what}");
    }
    // A good one is.
    backend.with(|state| state.key_set = Some((10, key_set(10, &root(), &[honest, stolen]))));
    let taken = host.state_dir().join("keys.json");
    backend.until("the new key set", |_| taken.exists());
    let payload = backend.payload(json!({ "type": "clean-journal" }));
    backend.serve([wire(&Envelope::sign(envelope::COMMAND, payload.to_string().as_bytes(), &key(66)))]);
    assert!(backend.with(|state| state.outcome(payload["jti"].as_str().unwrap()).is_some()));
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_that_keeps_serving_forgeries_is_not_asked_in_a_hot_loop() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let forged = wire(&Envelope::sign(envelope::COMMAND, backend.payload(restart(LISTED)).to_string().as_bytes(), &key(66)));
    let before = backend.with(|state| {
        state.always = Some(vec![forged]);
        state.polls.len()
    });
    backend.until("the first forgery", |state| state.polls.len() > before);
    let begun = Instant::now();
    backend.until("three more polls", |state| state.polls.len() > before + 3);
    // The pauses double: at least 0.5 s, 1 s and 2 s.
    assert!(begun.elapsed() > Duration::from_millis(3_400), "{:?}", begun.elapsed());
    terminate(running);
}
