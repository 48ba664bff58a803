//! What a network or a foreign backend can do to a pairing.

use std::{fs, io::Write as _, process::Stdio};

use osm_protocol::{key::PublicKey, pairing_token::PairingToken};
use osm_tests::process::{Host, program, terminate};

use crate::backend::{Answer, Backend, Spoil, key, root};

fn is_unpaired(host: &Host) -> bool {
    !host.state_dir().join("state.json").exists()
        && host.output(&mut host.command(&["status"])).succeeded().contains("Not paired")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_the_token_does_not_vouch_for_is_refused_and_nothing_is_stored() {
    for (spoil, said) in [
        (Spoil::AnotherRoot, "root key"),
        (Spoil::ForgedRoot, "not from the backend that made this token"),
        (Spoil::AnotherAgent, "another agent key"),
        (Spoil::AnotherToken, "another token"),
        (Spoil::AnotherSigner, "not from the backend that made this token"),
        (Spoil::TwoServers, "two servers"),
        (Spoil::Html, "something in between answers"),
        (Spoil::Redirect, "307"),
    ] {
        let backend = Backend::start().await;
        let host = Host::default();
        backend.with(|state| state.spoil.push_back(spoil));
        let error = host.pair(&backend.url, &backend.token.text()).failed();
        assert!(error.contains(said), "{spoil:?}: {error}");
        assert!(is_unpaired(&host), "{spoil:?}");
        assert!(!error.contains(&backend.token.text()[5..]), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_impostor_at_the_backends_address_is_found_out_by_the_token() {
    let backend = Backend::start().await;
    let host = Host::default();
    let token = PairingToken::new([7; 16], &PublicKey::from(&key(77)));
    let error = host.pair(&backend.url, &token.text()).failed();
    assert!(error.contains("root key") && error.contains("--api"), "{error}");
    assert!(is_unpaired(&host));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_asked_for_again_with_the_same_key() {
    let backend = Backend::start().await;
    let host = Host::default();
    backend.with(|state| state.lose = 2);
    for _ in 0..2 {
        let error = host.pair(&backend.url, &backend.token.text()).failed();
        assert!(error.contains("the same token works until it expires"), "{error}");
        assert!(is_unpaired(&host));
    }
    let said = host.pair(&backend.url, &backend.token.text()).succeeded();
    assert!(said.contains("Paired with") && said.contains("web-1"), "{said}");
    backend.with(|state| {
        let keys: Vec<&String> = state.pairs.iter().map(|pair| &pair.agent_key).collect();
        assert!(keys.len() == 3 && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    });
    // The same line once more is the same pairing once more; on another machine the token is used up.
    host.pair(&backend.url, &backend.token.text()).succeeded();
    backend.with(|state| assert_eq!(state.pairs[3].agent_key, state.pairs[0].agent_key));
    let other = Host::default();
    let error = other.pair(&backend.url, &backend.token.text()).failed();
    assert!(error.contains("/add_server"), "{error}");
    assert!(is_unpaired(&other));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_refused_with_the_next_step_and_never_shown() {
    let backend = Backend::start().await;
    let host = Host::default();
    let token = PairingToken::new([8; 16], &PublicKey::from(&root())).text();
    backend.with(|state| state.used_up.push(token.clone()));
    let error = host.pair(&backend.url, &token).failed();
    assert!(error.contains("used up or expired") && error.contains("/add_server"), "{error}");
    assert!(!error.contains(&token[5..]), "{error}");
    let error = host.pair(&backend.url, "no token").failed();
    assert!(error.contains("not a pairing token") && !error.contains("no token"), "{error}");
    assert_eq!(backend.with(|state| state.requests), 1, "what is no token is not sent");
    assert!(is_unpaired(&host));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairing_again_signs_with_the_old_key_and_a_running_agent_follows() {
    let backend = Backend::start().await;
    let host = backend.paired("");
    let running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    let next = PairingToken::new([3; 16], &PublicKey::from(&root()));
    host.pair(&backend.url, &next.text()).succeeded();
    let before = backend.with(|state| {
        assert!(state.pairs[0].replaces.is_none() && state.pairs[1].replaces.is_some());
        assert_ne!(state.pairs[0].agent_key, state.pairs[1].agent_key);
        state.reports.len()
    });
    // Only what the new key signs is taken.
    backend.until("a report under the new key", |state| state.reports.len() > before);
    terminate(running);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_goes_to_no_address_that_others_could_read() {
    let backend = Backend::start().await;
    let host = Host::default();
    let token = backend.token.text();
    for (address, said) in [
        ("http://192.0.2.1:8080", "plain http"),
        ("http://osm.example", "plain http"),
        ("https://osm.example/path", "no path"),
        ("https://me:secret@osm.example", "user name or password"),
        ("ftp://osm.example", "https://"),
    ] {
        let error = host.pair(address, &token).failed();
        assert!(error.contains(said), "{address}: {error}");
        assert!(!error.contains(&token[5..]), "{error}");
    }
    assert_eq!(backend.with(|state| state.requests), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_is_in_no_process_list_and_no_environment() {
    let backend = Backend::start().await;
    let host = Host::default();
    let token = backend.token.text();
    // As an argument it is not taken at all, and not repeated.
    let refused = host.output(&mut host.command(&["pair", "--api", &backend.url, "--token", "x"])).failed();
    assert!(refused.contains("unexpected argument '--token'") && !refused.contains("--token x"), "{refused}");
    let untold = host.output(&mut host.command(&["pair", "--api", &backend.url])).failed();
    assert!(untold.contains("--token-file FILE"), "{untold}");

    // While it waits for the token, and while it waits for the answer.
    let mut command = host.command(&["pair", "--api", &backend.url, "--token-file", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let seen = |id: u32| {
        let read = |file: &str| String::from_utf8_lossy(&fs::read(format!("/proc/{id}/{file}")).unwrap()).into_owned();
        read("cmdline") + &read("environ")
    };
    let exe = format!("/proc/{}/exe", child.id());
    // The wrapper becomes the agent, and for a moment has no arguments at all.
    let is_agent = || fs::read_link(&exe).is_ok_and(|exe| exe == program("osm-agent"));
    backend.until("the agent with its arguments", |_| is_agent() && seen(child.id()).contains("--token-file"));
    let before = seen(child.id());
    assert!(!before.contains(&token[5..]), "{before}");
    backend.with(|state| state.hold = true);
    child.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    backend.until("the request", |state| state.pairs.len() == 1);
    let meanwhile = seen(child.id());
    assert!(meanwhile.contains("--token-file") && !meanwhile.contains(&token[5..]), "{meanwhile}");
    backend.with(|state| {
        state.hold = false;
        state.lose = 1;
    });
    assert!(!child.wait().unwrap().success());

    // Not in the state directory either: only its hash is kept.
    for file in fs::read_dir(host.state_dir()).unwrap().flatten().filter(|file| file.path().is_file()) {
        let content = fs::read_to_string(file.path()).unwrap();
        assert!(!content.contains(&token[5..]), "{}", file.path().display());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirection_is_not_followed_and_no_answer_however_strange_stops_the_agent() {
    let (backend, elsewhere) = (Backend::start().await, Backend::start().await);
    let host = backend.paired("");
    let mut running = host.run();
    backend.until("a report", |state| !state.reports.is_empty());
    for answer in [
        Answer::Html,
        Answer::Huge,
        Answer::Nested,
        Answer::Redirect(elsewhere.url.clone()),
        Answer::Broken,
        Answer::Status(204),
        Answer::Status(500),
    ] {
        let before = backend.with(|state| {
            state.answer = Some(answer.clone());
            state.requests
        });
        backend.until("requests that are answered strangely", |state| state.requests > before);
        assert!(running.has_ended().unwrap().is_none(), "{answer:?}: {}", running.stderr());
    }
    let said = running.stderr();
    assert!(!said.contains("hotel") && !said.contains("panicked"), "{said}");
    // What was measured meanwhile was kept, and comes once the backend is itself again.
    let before = backend.with(|state| {
        state.answer = None;
        state.reports.len()
    });
    backend.until("a report again", |state| state.reports.len() > before + 1);
    assert_eq!(elsewhere.with(|state| state.requests), 0);
    terminate(running);
}
