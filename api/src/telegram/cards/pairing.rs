//! From the token to the paired server.

use teloxide::{types::InlineKeyboardButton, utils::html::escape};

use super::{
    card::Card,
    figures::Words,
    lists::add_button,
    markup::{code, safe, width},
};
use crate::{
    domain::{
        Millis,
        ids::{PairingId, ServerId},
        intent::{Family, Intent},
        pairing::{Pairing, Source, State},
        server::Server,
    },
    telegram::keyboards::{button, copy, link},
};

/// As `/install.sh` has them: the short way and the long one meet.
const APT_KEY: &str = "/usr/share/keyrings/osm-agent.asc";
const APT_PINS: &str = "/etc/apt/preferences.d/osm-agent.pref";
const DNF_KEY: &str = "/etc/pki/rpm-gpg/RPM-GPG-KEY-osm-agent";
const DNF_SOURCE: &str = "/etc/yum.repos.d/osm-agent.repo";

pub(super) fn pairing(words: &Words, pairing: &Pairing, family: Family, source: &Source) -> Card {
    match &pairing.state {
        State::Open { token, until } => {
            let told = Told { pairing, family, source, token };
            open(words, &told, *until)
        }
        State::Used { server_name } => {
            Card::line(words.with("pairing-used", &[("server", safe(server_name, width::NAME).into())]))
        }
        State::Expired => Card { lines: vec![words.get("pairing-expired")], rows: vec![vec![add_button(words)]] },
    }
}

/// An open token, and how it is to be used.
struct Told<'a> {
    pairing: &'a Pairing,
    family: Family,
    source: &'a Source,
    token: &'a str,
}

fn open(words: &Words, told: &Told<'_>, until: Millis) -> Card {
    let Told { pairing, family, source, .. } = *told;
    let title = if pairing.name.is_empty() {
        words.get("pairing-title")
    } else {
        words.with("pairing-title-named", &[("server", safe(&pairing.name, width::NAME).into())])
    };
    let steps = steps(told);
    let mut lines = vec![title, String::new()];
    for (key, line) in &steps {
        let fingerprint = source.offer.as_ref().map_or_else(String::new, |offer| code(&offer.fingerprint, 40));
        lines.extend([words.with(key, &[("fingerprint", fingerprint.into())]), block(line)]);
    }
    lines.push(words.with("pairing-valid", &[("clock", words.clock(until).into())]));
    if family == Family::Short {
        lines.push(words.get(if source.offer.is_some() { "pairing-by-hand" } else { "pairing-not-installed" }));
    }
    lines.push(words.get("pairing-next"));
    let copies = steps.iter().zip(1..).filter_map(|((_, line), number)| {
        let label = if steps.len() == 1 {
            words.get("button-copy")
        } else {
            words.with("button-copy-step", &[("number", number.into())])
        };
        copy(&label, line)
    });
    Card { lines, rows: vec![copies.collect(), family_buttons(words, pairing.id, family)] }
}

/// Gives what to run, in this order, each with what is said above it.
fn steps(told: &Told<'_>) -> Vec<(&'static str, String)> {
    let Told { family, source, token, .. } = *told;
    let api = &source.api_url;
    let pair = ("pairing-then-run", format!("printf %s {token} | sudo osm-agent pair --api {api} --token-file -"));
    let Some(offer) = &source.offer else {
        return match family {
            Family::Short => vec![("pairing-run", pair.1)],
            Family::Apt => vec![("pairing-install", "sudo apt install osm-agent".to_owned()), pair],
            Family::Dnf => vec![("pairing-install", "sudo dnf install osm-agent".to_owned()), pair],
        };
    };
    match family {
        // The token comes through standard input: an argument would stand in the list of processes.
        Family::Short => vec![
            (
                "pairing-fetch",
                format!(
                    "curl -fsSLo osm-install.sh {api}/install.sh && echo '{}  osm-install.sh' | sha256sum -c",
                    offer.script_sha256
                ),
            ),
            (
                "pairing-install-and-pair",
                format!("printf %s {token} | sudo sh osm-install.sh --fingerprint {} --token-file -", offer.fingerprint),
            ),
        ],
        Family::Apt => [by_apt(api, &source.host), vec![pair]].concat(),
        Family::Dnf => [by_dnf(api), vec![pair]].concat(),
    }
}

fn by_apt(api: &str, host: &str) -> Vec<(&'static str, String)> {
    vec![
        ("pairing-key", format!("curl -fsSL {api}/packages/key.asc | sudo tee {APT_KEY} >/dev/null")),
        (
            "pairing-repository",
            format!(
                "printf 'Types: deb\\nURIs: {api}/packages/apt\\nSuites: stable\\nComponents: main\\nSigned-By: {APT_KEY}\\n' \
                 | sudo tee /etc/apt/sources.list.d/osm-agent.sources"
            ),
        ),
        (
            "pairing-only",
            format!(
                "printf 'Package: osm-agent\\nPin: origin \"{host}\"\\nPin-Priority: 990\\n\\nPackage: osm-agent\\nPin: version *\\n\
                 Pin-Priority: -1\\n\\nPackage: *\\nPin: release l=osm-agent\\nPin-Priority: -1\\n' | sudo tee {APT_PINS}"
            ),
        ),
        ("pairing-package", "sudo apt update && sudo apt install -y osm-agent".to_owned()),
    ]
}

fn by_dnf(api: &str) -> Vec<(&'static str, String)> {
    vec![
        ("pairing-key", format!("curl -fsSL {api}/packages/key.asc | sudo tee {DNF_KEY} >/dev/null")),
        (
            "pairing-repository",
            format!(
                "printf '[osm-agent]\\nname=osm-agent\\nbaseurl={api}/packages/dnf/$basearch\\ngpgcheck=1\\nrepo_gpgcheck=1\\n\
                 gpgkey=file://{DNF_KEY}\\n' | sudo tee {DNF_SOURCE}"
            ),
        ),
        (
            "pairing-only",
            format!("printf 'priority=1\\nincludepkgs=osm-agent\\nskip_if_unavailable=1\\n' | sudo tee -a {DNF_SOURCE}"),
        ),
        ("pairing-package", "sudo dnf install -y osm-agent".to_owned()),
    ]
}

fn block(line: &str) -> String {
    format!("<pre><code class=\"language-bash\">{}</code></pre>", escape(line))
}

fn family_buttons(words: &Words, pairing_id: PairingId, family: Family) -> Vec<InlineKeyboardButton> {
    let step = |key, family| button(&words.get(key), &Intent::PairingSteps { pairing_id, family });
    match family {
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
    Card { lines, rows: vec![vec![show_button(words, &server.name, server.id)]] }
}

pub(super) fn token_tried(words: &Words, server: &Server, address: &str) -> Card {
    let arguments = [("server", safe(&server.name, width::NAME).into()), ("address", code(address, width::WORDS).into())];
    Card { lines: vec![words.with("token-tried", &arguments)], rows: vec![vec![show_button(words, &server.name, server.id)]] }
}

pub(super) fn cloned(words: &Words, server: &Server) -> Card {
    let name = || safe(&server.name, width::NAME).into();
    let lines = vec![words.with("cloned-title", &[("server", name())]), words.get("cloned-fix")];
    Card { lines, rows: vec![vec![show_button(words, &server.name, server.id), add_button(words)]] }
}

pub(super) fn unpaired(words: &Words, name: &str) -> Card {
    let line = words.with("server-unpaired", &[("server", safe(name, width::NAME).into())]);
    Card { lines: vec![line], rows: vec![vec![add_button(words)]] }
}

pub(super) fn show_button(words: &Words, name: &str, server_id: ServerId) -> InlineKeyboardButton {
    let label = words.with("button-show", &[("server", name.into())]);
    button(&label, &Intent::ShowServer { server_id })
}
