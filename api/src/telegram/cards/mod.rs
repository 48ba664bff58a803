//! Views as messages: HTML for Telegram's parse mode, and a keyboard.
//!
//! Whatever a view holds, the message is one that Telegram takes: every string of a host or person goes through
//! [`markup::safe`] or [`markup::code`], and what is too long loses whole lines, never the end of a tag.
//!
//! | module | what |
//! |---|---|
//! | [`chat`] | answers about the bot itself |
//! | [`command`] | really? and what became of it |
//! | [`figures`] | sizes, shares, times |
//! | [`lists`] | servers and services to pick from |
//! | [`markup`] | well-formed HTML within Telegram's limits |
//! | [`pairing`] | from the token to the paired server |
//! | [`server`] | a server's state in a word |
//! | [`status`] | a server's card |

mod chat;
mod command;
mod figures;
mod lists;
mod markup;
mod pairing;
mod server;
mod status;

use teloxide::types::{InlineKeyboardButton, InlineKeyboardMarkup};

use crate::{
    domain::{Millis, notice::Toast, view::View},
    telegram::{keyboards::keyboard, text::Text},
};

use figures::Words;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub html: String,
    pub keyboard: InlineKeyboardMarkup,
}

/// The message of a view. Pages count from 0; one beyond the last is the last.
pub fn render(view: &View, text: &Text, now: Millis) -> Rendered {
    let words = &Words { text, now };
    let card = match view {
        View::Welcome { servers, claimed } => chat::welcome(words, *servers, *claimed),
        View::PrivateBot => Card::line(words.get("private-bot")),
        View::Help => chat::help(words),
        View::Pairing(pairing) => pairing::pairing(words, pairing),
        View::PairingSentPrivately { name } => pairing::sent_privately(words, name),
        View::PairingNeedsPrivateChat { link } => pairing::needs_private_chat(words, link),
        View::Paired { server } => pairing::paired(words, server),
        View::Cloned { server } => pairing::cloned(words, server),
        View::Unpaired { name } => pairing::unpaired(words, name),
        View::Servers { servers, page, pages } => lists::servers(words, servers, *page, *pages),
        View::Status { server, page } => status::status(words, server, *page),
        View::Services { server, services, page, pages } => lists::services(words, server, services, *page, *pages),
        View::Choose { purpose, servers } => lists::choose(words, *purpose, servers),
        View::NoSuchServer { name } => lists::no_such_server(words, name),
        View::Confirmation(confirmation) => command::confirmation(words, confirmation),
        View::Command(command) => command::command(words, command),
        View::Removed { name } => command::removed(words, name),
        View::NotAllowed => Card::line(words.get("not-allowed")),
        View::LimitReached { limit } => chat::limit_reached(words, *limit),
        View::UnknownCommand => Card::line(words.get("unknown-command")),
        View::SetAside { update_id } => Card::line(words.with("set-aside", &[("update", update_id.to_string().into())])),
        View::Gone => Card { lines: vec![words.get("server-gone")], rows: vec![vec![lists::servers_button(words)]] },
    };
    Rendered { html: markup::fit(words, &card.lines), keyboard: keyboard(card.rows) }
}

/// The words that pop up over a tapped button: plain text, at most 200 characters; none for [`Toast::Done`].
pub fn toast(toast: Toast, text: &Text) -> String {
    let key = match toast {
        Toast::Done => return String::new(),
        Toast::Refreshed => "toast-refreshed",
        Toast::Stale => "toast-stale",
        Toast::NotAllowed => "toast-not-allowed",
        Toast::NotYours => "toast-not-yours",
        Toast::ConfirmationExpired => "toast-confirmation-expired",
        Toast::AlreadyAnswered => "toast-already-answered",
        Toast::Declined => "toast-declined",
        Toast::NotRestartable => "toast-not-restartable",
        Toast::NotOffered => "toast-not-offered",
        Toast::RebootOver => "toast-reboot-over",
        Toast::CancelAsked => "toast-cancel-asked",
        Toast::LimitReached => "toast-limit-reached",
        Toast::Suspended => "toast-suspended",
    };
    text.get(key)
}

/// A message in the making. A line is well-formed HTML by itself, and may hold line breaks.
struct Card {
    lines: Vec<String>,
    rows: Vec<Vec<InlineKeyboardButton>>,
}

impl Card {
    fn line(line: String) -> Self {
        Self { lines: vec![line], rows: Vec::new() }
    }
}

#[cfg(test)]
mod tests;
