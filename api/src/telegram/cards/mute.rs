//! When the chat makes no sound.

use teloxide::types::InlineKeyboardButton;

use super::{
    card::Card,
    figures::Words,
    markup::{safe, width},
};
use crate::{
    domain::{
        intent::Intent,
        mute::{Mute, Window},
        notice::Usage,
        server::Server,
    },
    telegram::keyboards::{HOURS, button},
};

/// Servers that have buttons of their own.
const BUTTONS: usize = 8;

pub(super) fn mutes(words: &Words, mutes: &[Mute], servers: &[Server]) -> Card {
    let mut lines = vec![words.get(if mutes.is_empty() { "mutes-none" } else { "mutes-title" })];
    let minute = words.zone.minute_of_day(words.now);
    let mut rows: Vec<Vec<InlineKeyboardButton>> = Vec::new();
    for mute in mutes {
        let name = mute.server_id.map(|id| servers.iter().find(|server| server.id == id).map_or("?", |server| &server.name));
        let whom = name.map_or_else(|| words.get("mute-chat"), |name| format!("<b>{}</b>", safe(name, width::NAME)));
        let active = if mute.window.is_active(words.now, minute) { "🔕" } else { "🔔" };
        let by = safe(&mute.created_by, width::NAME);
        let arguments = [("whom", whom.into()), ("when", window(words, mute.window).into()), ("person", by.into())];
        lines.push(format!("{active} {}", words.with("mute-line", &arguments)));
        let label =
            words.with("button-unmute", &[("whom", name.unwrap_or("💬").into()), ("when", window(words, mute.window).into())]);
        rows.push(vec![button(&label, &Intent::Unmute { mute_id: mute.id })]);
    }
    lines.extend([String::new(), words.with("mutes-hint", &[("zone", safe(words.zone.name(), width::NAME).into())])]);
    let scopes = std::iter::once(None).chain(servers.iter().take(BUTTONS).map(Some));
    rows.extend(scopes.map(|server| {
        let mute = |hours: u32| {
            let name = server.map_or_else(|| "💬".to_owned(), |server| server.name.clone());
            let label = words.with("button-mute", &[("whom", name.into()), ("hours", hours.into())]);
            button(&label, &Intent::MuteFor { server_id: server.map(|server| server.id), hours })
        };
        HOURS.into_iter().map(mute).collect()
    }));
    Card { lines, rows }
}

fn window(words: &Words, window: Window) -> String {
    match window {
        Window::Until(until) => words.with("mute-until", &[("moment", words.moment(until).into())]),
        Window::Daily { from, to } => {
            let time = |minute: i64| format!("{:02}:{:02}", minute / 60, minute % 60);
            words.with("mute-daily", &[("from", time(from).into()), ("to", time(to).into())])
        }
    }
}

pub(super) fn not_understood(words: &Words, usage: Usage) -> Card {
    Card::line(words.get(match usage {
        Usage::Mute => "usage-mute",
        Usage::TimeZone => "usage-timezone",
    }))
}

pub(super) fn time_zone(words: &Words) -> Card {
    let arguments = [("zone", safe(words.zone.name(), width::NAME).into()), ("clock", words.clock(words.now).into())];
    Card::line(words.with("time-zone", &arguments))
}
