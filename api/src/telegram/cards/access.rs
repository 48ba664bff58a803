//! Who may use the bot, and what the operator did to a chat.

use super::{
    card::Card,
    figures::Words,
    lists::{add_button, servers_button},
    markup::{code, safe, width},
    pairing::show_button,
};
use crate::{
    domain::{ids::UserId, server::Server},
    query::access::Left,
};

/// People, and servers of each, that the owner is told of by name.
const NAMED: usize = 10;

/// Tells a stranger that they may not use the bot, and the number by which the operator can let them in.
pub(super) fn private_bot(words: &Words, stranger: UserId) -> Card {
    Card::line(words.with("private-bot", &[("number", code(&stranger.to_string(), width::NAME).into())]))
}

pub(super) fn granted(words: &Words) -> Card {
    Card { lines: vec![words.get("access-granted")], rows: vec![vec![servers_button(words), add_button(words)]] }
}

pub(super) fn owner_set(words: &Words) -> Card {
    Card { lines: vec![words.get("access-owner")], rows: vec![vec![servers_button(words), add_button(words)]] }
}

/// Tells the owner what is left of people who may no longer use the bot.
pub(super) fn left_behind(words: &Words, left: &[Left]) -> Card {
    let mut lines = vec![words.get("left-title")];
    for left in left.iter().take(NAMED) {
        let names: Vec<String> = left.servers.iter().take(NAMED).map(|name| safe(name, width::NAME)).collect();
        let key = if left.chat_id.person().is_some() { "left-private" } else { "left-group" };
        let args = [
            ("person", code(&left.user_id.to_string(), width::NAME).into()),
            ("chat", code(&left.chat_id.to_string(), width::NAME).into()),
            ("servers", names.join(", ").into()),
            ("more", left.servers.len().saturating_sub(NAMED).into()),
        ];
        lines.push(words.with(key, &args));
    }
    if left.len() > NAMED {
        lines.push(words.with("left-more", &[("count", (left.len() - NAMED).into())]));
    }
    lines.push(words.get("left-what"));
    Card { lines, rows: Vec::new() }
}

/// Tells a chat of a server, by name, that is no longer its.
pub(super) fn gone(words: &Words, key: &str, name: &str) -> Card {
    let line = words.with(key, &[("server", safe(name, width::NAME).into())]);
    Card { lines: vec![line], rows: vec![vec![servers_button(words)]] }
}

/// Tells a chat of a server that it has, or of whose history it has.
pub(super) fn kept(words: &Words, key: &str, server: &Server) -> Card {
    let line = words.with(key, &[("server", safe(&server.name, width::NAME).into())]);
    Card { lines: vec![line], rows: vec![vec![show_button(words, &server.name, server.id)]] }
}

pub(super) fn chat_revoked(words: &Words, servers: u32) -> Card {
    Card::line(words.with("chat-revoked", &[("count", servers.into())]))
}
