//! From the token to the paired server.

use teloxide::{types::InlineKeyboardButton, utils::html::escape};

use super::{
    Card,
    figures::Words,
    lists::add_button,
    markup::{code, safe, width},
};
use crate::{
    domain::{
        Millis,
        intent::{Family, Intent},
        server::Server,
        view::{Pairing, PairingState},
    },
    telegram::keyboards::{button, copy, link},
};

pub(super) fn pairing(words: &Words, pairing: &Pairing) -> Card {
    match &pairing.state {
        PairingState::Open { token, until } => open(words, pairing, token, *until),
        PairingState::Used { server_name } => {
            Card::line(words.with("pairing-used", &[("server", safe(server_name, width::NAME).into())]))
        }
        PairingState::Expired => Card { lines: vec![words.get("pairing-expired")], rows: vec![vec![add_button(words)]] },
    }
}

fn open(words: &Words, pairing: &Pairing, token: &str, until: Millis) -> Card {
    let line = pairing_line(&pairing.api_url, token);
    let title = if pairing.name.is_empty() {
        words.get("pairing-title")
    } else {
        words.with("pairing-title-named", &[("server", safe(&pairing.name, width::NAME).into())])
    };
    let mut lines = vec![title, String::new()];
    lines.extend(match pairing.family {
        Family::Short => vec![words.get("pairing-run")],
        Family::Apt => vec![words.get("pairing-install"), block("sudo apt install osm-agent"), words.get("pairing-then-run")],
        Family::Dnf => vec![words.get("pairing-install"), block("sudo dnf install osm-agent"), words.get("pairing-then-run")],
    });
    lines.push(block(&line));
    lines.push(words.with("pairing-valid", &[("clock", words.clock(until).into())]));
    if pairing.family == Family::Short {
        lines.push(words.get("pairing-not-installed"));
    }
    lines.push(words.get("pairing-next"));
    let copy_row = copy(&words.get("button-copy"), &line).into_iter().collect();
    Card { lines, rows: vec![copy_row, family_buttons(words, pairing)] }
}

/// The token comes through standard input: an argument would stand in the list of processes.
fn pairing_line(api_url: &str, token: &str) -> String {
    format!("printf %s {token} | sudo osm-agent pair --api {api_url} --token-file -")
}

fn block(line: &str) -> String {
    format!("<pre><code class=\"language-bash\">{}</code></pre>", escape(line))
}

fn family_buttons(words: &Words, pairing: &Pairing) -> Vec<InlineKeyboardButton> {
    let step = |key, family| button(&words.get(key), &Intent::PairingSteps { pairing_id: pairing.id.clone(), family });
    match pairing.family {
        Family::Short => vec![step("button-apt", Family::Apt), step("button-dnf", Family::Dnf)],
        Family::Apt | Family::Dnf => vec![step("button-back", Family::Short)],
    }
}

pub(super) fn sent_privately(words: &Words, name: &str) -> Card {
    Card::line(words.with("pairing-sent-privately", &[("person", safe(name, width::NAME).into())]))
}

pub(super) fn needs_private_chat(words: &Words, url: &str) -> Card {
    let row = link(&words.get("button-open-chat"), url).into_iter().collect();
    Card { lines: vec![words.get("pairing-needs-private-chat")], rows: vec![row] }
}

pub(super) fn paired(words: &Words, server: &Server) -> Card {
    let name = || safe(&server.name, width::NAME).into();
    let mut lines = vec![words.with("paired-title", &[("server", name())])];
    lines.push(words.with("paired-system", &[("os", safe(&server.os, width::WORDS).into())]));
    lines.push(words.with("paired-address", &[("address", code(&server.paired_from, width::WORDS).into())]));
    lines.push(words.with("paired-fingerprint", &[("fingerprint", code(&server.fingerprint, 128).into())]));
    lines.extend([String::new(), words.get("paired-next")]);
    Card { lines, rows: vec![vec![show_button(words, &server.name, &server.id)]] }
}

pub(super) fn cloned(words: &Words, server: &Server) -> Card {
    let name = || safe(&server.name, width::NAME).into();
    let lines = vec![words.with("cloned-title", &[("server", name())]), words.get("cloned-fix")];
    Card { lines, rows: vec![vec![show_button(words, &server.name, &server.id), add_button(words)]] }
}

pub(super) fn unpaired(words: &Words, name: &str) -> Card {
    let line = words.with("server-unpaired", &[("server", safe(name, width::NAME).into())]);
    Card { lines: vec![line], rows: vec![vec![add_button(words)]] }
}

pub(super) fn show_button(words: &Words, name: &str, server_id: &str) -> InlineKeyboardButton {
    let label = words.with("button-show", &[("server", name.into())]);
    button(&label, &Intent::ShowServer { server_id: server_id.to_owned() })
}
