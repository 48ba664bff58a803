//! Answers about the bot itself.

use super::{
    card::Card,
    figures::Words,
    lists::{add_button, servers_button},
    markup::{code, width},
};
use crate::{
    domain::{Millis, event::Refused, ids::UpdateId, intent::Intent, notice::Limit, server::PER_CHAT},
    telegram::{keyboards::button, receive::update::COMMANDS},
};

/// Greets the person who just became the owner.
pub(super) fn claimed(words: &Words, servers: i64) -> Card {
    let mut card = welcome(words, servers);
    card.lines.splice(0..0, [words.get("welcome-claimed"), String::new()]);
    card
}

/// Says what this is, and the next step. `servers`: how many the chat has.
pub(super) fn welcome(words: &Words, servers: i64) -> Card {
    let mut lines = vec![words.get("welcome-what"), String::new()];
    let help = button(&words.get("button-help"), &Intent::Help);
    if servers > 0 {
        lines.push(words.with("welcome-servers", &[("count", servers.into())]));
        return Card { lines, rows: vec![vec![servers_button(words), add_button(words)], vec![help]] };
    }
    lines.push(words.get("welcome-next"));
    Card { lines, rows: vec![vec![add_button(words)], vec![help]] }
}

pub(super) fn help(words: &Words) -> Card {
    let mut lines = vec![words.get("help-title")];
    lines.extend(COMMANDS.iter().map(|(name, key)| format!("/{name} — {}", words.get(key))));
    lines.extend([String::new(), words.get("help-more")]);
    Card { lines, rows: vec![vec![servers_button(words), add_button(words)]] }
}

pub(super) fn limit_reached(words: &Words, limit: Limit) -> Card {
    match limit {
        Limit::Servers => Card {
            lines: vec![words.with("limit-servers", &[("count", PER_CHAT.into())])],
            rows: vec![vec![servers_button(words)]],
        },
        Limit::PairingTokens => Card::line(words.get("limit-pairing-tokens")),
        Limit::Commands => Card::line(words.get("limit-commands")),
        Limit::Mutes => Card::line(words.get("limit-mutes")),
    }
}

/// Tells the owner who was refused.
pub(super) fn refused(words: &Words, what: Refused, count: u64, networks: &[String]) -> Card {
    let what = words.get(match what {
        Refused::PairingToken => "refused-pairing-token",
        Refused::UnknownKey => "refused-unknown-key",
        Refused::Signature => "refused-signature",
        Refused::WebhookSecret => "refused-webhook-secret",
        Refused::TooMany => "refused-too-many",
        Refused::TooManyOfKey => "refused-too-many-of-key",
        Refused::NoRoom => "refused-no-room",
        Refused::TooSlow => "refused-too-slow",
        Refused::TooLarge => "refused-too-large",
        Refused::Stranger => "refused-stranger",
    });
    let mut lines = vec![words.with("refused-title", &[("count", count.into()), ("what", what.into())])];
    if !networks.is_empty() {
        let networks = networks.iter().map(|network| code(network, width::WORDS)).collect::<Vec<_>>().join(", ");
        lines.push(words.with("refused-from", &[("networks", networks.into())]));
    }
    lines.push(words.get("refused-next"));
    Card { lines, rows: Vec::new() }
}

pub(super) fn packages_run_out(words: &Words, until: Millis) -> Card {
    let key = if words.now < until { "packages-run-out" } else { "packages-over" };
    let title = words.with(key, &[("moment", words.moment(until).into())]);
    Card { lines: vec![title, words.get("packages-next")], rows: Vec::new() }
}

pub(super) fn set_aside(words: &Words, update_id: UpdateId) -> Card {
    Card::line(words.with("set-aside", &[("update", update_id.to_string().into())]))
}
