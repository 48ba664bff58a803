//! Views as messages: HTML for Telegram's parse mode, and a keyboard.
//!
//! Whatever a view holds, the message is one that Telegram takes: every string of a host or person goes through
//! [`markup::safe`] or [`markup::code`], and what is too long loses whole lines, never the end of a tag.
//!
//! | module | what |
//! |---|---|
//! | [`alert`] | what is wrong, and what can be done about it |
//! | [`chat`] | answers about the bot itself |
//! | [`command`] | really? and what became of it |
//! | [`figures`] | sizes, shares, times |
//! | [`lists`] | servers and services to pick from |
//! | [`markup`] | well-formed HTML within Telegram's limits |
//! | [`mute`] | when the chat makes no sound |
//! | [`pairing`] | from the token to the paired server |
//! | [`server`] | a server's state in a word |
//! | [`status`] | a server's card |
//! | [`threshold`] | limits, and what another one would have done |

mod alert;
mod chat;
mod command;
mod figures;
mod lists;
mod markup;
mod mute;
mod pairing;
mod server;
mod status;
mod threshold;

use teloxide::types::{InlineKeyboardButton, InlineKeyboardMarkup};

use crate::{
    domain::{Millis, notice::Toast, view::View},
    telegram::{keyboards::keyboard, text::Text},
    zone::Zone,
};

use figures::Words;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    pub html: String,
    pub keyboard: InlineKeyboardMarkup,
}

/// In which language, when and where a message is read.
pub struct Frame<'a> {
    pub text: &'a Text,
    pub zone: &'a Zone,
    pub now: Millis,
    /// News that could not be sent before.
    pub delayed_since: Option<Millis>,
}

/// The message of a view. Pages count from 0; one beyond the last is the last.
pub fn render(view: &View, frame: &Frame<'_>) -> Rendered {
    let Frame { text, zone, now, delayed_since } = *frame;
    let words = &Words { text, zone, now };
    let mut card = match view {
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
        View::Incident(view) => alert::incident(words, view),
        View::Digest { incidents, servers } => alert::digest(words, incidents, *servers),
        View::Recovered { over, open } => alert::recovered(words, over, open),
        View::Reminder { open } => alert::reminder(words, open),
        View::Alerts { open, count, page, pages } => alert::alerts(words, open, *count, *page, *pages),
        View::TestAlert => Card::line(words.get("test-alert")),
        View::Thresholds { scope, limits } => threshold::thresholds(words, scope, limits),
        View::Threshold(view) => threshold::threshold(words, view),
        View::Mutes { mutes, servers } => mute::mutes(words, mutes, servers),
        View::NotUnderstood { usage } => mute::not_understood(words, *usage),
        View::TimeZone => mute::time_zone(words),
        View::Gone | View::Nothing => {
            Card { lines: vec![words.get("server-gone")], rows: vec![vec![lists::servers_button(words)]] }
        }
    };
    if let Some(since) = delayed_since {
        card.lines.push(words.with("delayed-since", &[("moment", words.moment(since).into())]));
    }
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
        Toast::Acknowledged => "toast-acknowledged",
        Toast::Snoozed => "toast-snoozed",
        Toast::AlertOver => "toast-alert-over",
        Toast::Saved => "toast-saved",
        Toast::OutOfRange => "toast-out-of-range",
        Toast::Muted => "toast-muted",
        Toast::Unmuted => "toast-unmuted",
        Toast::TooManyMutes => "toast-too-many-mutes",
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
