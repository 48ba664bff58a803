//! A backend that writes to root's terminal where it can: every text that it may answer holds sequences that a terminal acts
//! upon. Nothing that the agent prints or logs has them (finding 10).

use osm_protocol::messages::problem;
use osm_tests::process::{Ended, Host, terminate};
use serde_json::json;

use crate::backend::{Answer, Backend, PROBLEM, Proof};

/// OSC 52 writes to the clipboard, CSI and C1 move and colour, CR and BEL lie and ring, the last one turns what follows round.
const HOSTILE: &str = "x\u{1b}]52;c;aGE=\u{7}\u{1b}[2J\r\u{9b}31m\u{0}\t\u{202e}y";

#[track_caller]
fn plain(what: &str, said: &str) {
    let acted_upon = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!said.contains(acted_upon), "{what}: {said:?}");
}

#[track_caller]
fn all_plain(what: &str, ended: &Ended) {
    plain(what, &ended.stdout);
    plain(what, &ended.stderr);
}

/// Answers for every request but pairing, each with all its texts hostile.
fn answers() -> Vec<Answer> {
    let problem = |status: u16, kind: &str| {
        let body = json!({ "type": kind, "title": HOSTILE, "status": status, "detail": HOSTILE.repeat(50), "nonce": "NONCE" });
        Answer::Like(status, PROBLEM, body.to_string())
    };
    let envelope = json!({ "payload": HOSTILE, "payloadType": HOSTILE, "signatures": [{ "keyid": HOSTILE, "sig": HOSTILE }] });
    let page = format!("<html><head><title>{HOSTILE}</title></head>{HOSTILE}</html>");
    vec![
        problem(422, problem::INVALID),
        problem(401, problem::SIGNATURE),
        problem(410, problem::REMOVED),
        problem(500, problem::INTERNAL),
        problem(403, HOSTILE),
        Answer::Like(502, "text/html", page),
        Answer::Like(200, "application/json", json!({ "now": 1, "key_set_version": 9, "nonce": HOSTILE }).to_string()),
        Answer::Like(200, "application/json", json!({ "commands": [envelope] }).to_string()),
        Answer::Like(200, "application/json", envelope.to_string()),
        Answer::Removed(Box::new(Proof::honest())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_of_a_backend_reaches_the_terminal_as_more_than_text() {
    let backend = Backend::start().await;
    backend.with(|state| state.name = Some(HOSTILE.to_owned()));
    let host = Host::default();
    let paired = host.pair(&backend.url, &backend.token.text());
    all_plain("pair", &paired);
    assert!(paired.succeeded().contains("aGE="), "the name is shown, but for what a terminal acts upon");
    for answer in answers() {
        let what = format!("{answer:?}");
        let before = backend.with(|state| {
            state.answer = Some(answer);
            state.reports_asked
        });
        let running = host.run();
        backend.until("a report that is answered so", |state| state.reports_asked > before);
        for command in ["status", "doctor", "unpair"] {
            all_plain(&format!("{command} after {what}"), &host.output(&mut host.command(&[command])));
            if command == "unpair" && !host.state_dir().join("state.json").exists() {
                // A removal that is proven is as good as its consent.
                backend.with(|state| state.answer = None);
            }
        }
        let said = running.stderr();
        terminate(running);
        plain(&what, &said);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pairing_that_is_answered_with_nonsense_says_so_in_plain_text() {
    for (answer, said) in [
        (json!({ "server_id": HOSTILE, "name": HOSTILE }).to_string(), "something in between answers"),
        (HOSTILE.to_owned(), "something in between answers"),
    ] {
        let backend = Backend::start().await;
        backend.with(|state| state.pair_answer = Some(Answer::Like(200, "application/json", answer)));
        let host = Host::default();
        let ended = host.pair(&backend.url, &backend.token.text());
        all_plain("pair", &ended);
        assert!(ended.failed().contains(said));
        assert!(!host.state_dir().join("state.json").exists());
    }
}
