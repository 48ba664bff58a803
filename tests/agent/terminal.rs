//! Pairing as a person at a terminal does it: the token is typed, and nobody behind them reads it.

use std::{
    fs,
    io::{Write as _, pipe},
    path::Path,
};

use osm_tests::process::{Ended, Host, command};

use crate::backend::{Backend, SOON};

/// Runs a line of shell on a terminal of its own, types `text` once `prompt` is shown, and gives how it ended; `stdout` is all
/// that the terminal showed, and the typescript holds the same.
fn on_a_terminal(host: &Host, line: &str, prompt: &str, text: &str) -> Ended {
    let typescript = host.path("typescript");
    let (keyboard, mut typing) = pipe().unwrap();
    let mut script = command(Path::new("script"));
    // Always with echo, as a terminal has it, unless a program turns it off.
    script.args(["--quiet", "--flush", "--return", "--echo", "always", "--command", line]).arg(&typescript);
    let running = host.start(script.stdin(keyboard).env("SHELL", "/bin/sh"));
    running.says(prompt);
    writeln!(typing, "{text}").unwrap();
    let mut ended = running.end(SOON).unwrap();
    ended.stdout += &fs::read_to_string(typescript).unwrap();
    ended
}

/// `osm-agent pair`, as it is typed.
fn pair_line(host: &Host, backend: &Backend) -> String {
    let pair = host.command(&["pair", "--api", &backend.url]);
    let words = [pair.get_program()].into_iter().chain(pair.get_args());
    let words: Vec<&str> = words.map(|word| word.to_str().expect("paths of tests")).collect();
    format!("'{}'", words.join("' '"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_typed_at_the_prompt_pairs_and_is_not_shown() {
    let backend = Backend::start().await;
    let host = Host::default();
    let token = backend.token.text();

    // This terminal would show it.
    let echoed = on_a_terminal(&host, "printf Token; read token", "Token", &token).succeeded();
    assert!(echoed.contains(&token), "{echoed}");

    let shown = on_a_terminal(&host, &pair_line(&host, &backend), "Pairing token (not shown): ", &token).succeeded();
    assert!(shown.contains("Paired with") && shown.contains("web-1"), "{shown}");
    assert!(!shown.contains(&token[5..15]), "{shown}");
    assert!(host.state_dir().join("state.json").exists());
    backend.with(|state| assert_eq!(state.pairs.len(), 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_wrong_token_the_terminal_echoes_again() {
    let backend = Backend::start().await;
    let host = Host::default();
    let line = pair_line(&host, &backend) + " || stty -a";
    let shown = on_a_terminal(&host, &line, "Pairing token (not shown): ", "OSM1-WRONGWRONGWRONG").succeeded();
    assert!(!shown.contains("WRONGWRONG"), "{shown}");
    assert!(shown.contains(" echo ") && !shown.contains(" -echo "), "{shown}");
    assert_eq!(backend.with(|state| state.requests), 0);
}
