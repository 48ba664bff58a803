//! Servers and services to pick from.

use osm_protocol::messages::Service;
use teloxide::types::InlineKeyboardButton;

use super::{
    card::Card,
    figures::Words,
    markup::{safe, width},
    server::{service_symbol, symbol, title, worst},
};
use crate::{
    domain::{
        ids::ServerId,
        intent::Intent,
        notice::Purpose,
        server::{Server, unit_tag},
    },
    query::Page,
    telegram::{keyboards::button, text::printable},
};

/// Telegram takes 100 buttons; this leaves some for others.
const BUTTONS_MAX: usize = 60;
/// Up to here a choice has a row for each button.
const ROWS_MAX: usize = 10;
/// Entries of a list page, should a caller hand over more than a page.
const LINES_MAX: usize = 30;
/// Longer unit names would push their state off the button.
const BUTTON_NAME: usize = 40;

pub(super) fn servers(words: &Words, list: &Page<Server>) -> Card {
    let servers = &list.items;
    if servers.is_empty() {
        return Card { lines: vec![words.get("servers-none")], rows: vec![vec![add_button(words)]] };
    }
    let mut lines = vec![words.get("servers-title")];
    for server in servers.iter().take(LINES_MAX) {
        let worst = server.latest.as_ref().and_then(|latest| worst(words, &latest.report));
        let alerts = (server.open_alerts > 0).then(|| words.with("open-alerts", &[("count", server.open_alerts.into())]));
        let worst = alerts.or(worst);
        lines.push(title(words, server) + &worst.map(|worst| format!(" · {worst}")).unwrap_or_default());
    }
    lines.extend(left_out(words, servers.len(), LINES_MAX));
    let turns = page_turns(words, list.number, list.pages, |page| Intent::Servers { page });
    lines.extend(turns.line);
    let mut rows = server_rows(words, &servers[..servers.len().min(LINES_MAX)], |server_id| Intent::ShowServer { server_id });
    rows.push(turns.buttons);
    rows.push(vec![add_button(words)]);
    Card { lines, rows }
}

pub(super) fn services(words: &Words, server: &Server, list: &Page<Service>) -> Card {
    let (server_id, services) = (server.id, &list.items);
    let name = [("server", safe(&server.name, width::NAME).into())];
    let back = vec![button(&words.get("button-back"), &Intent::Refresh { server_id, page: 0 })];
    if services.is_empty() {
        return Card { lines: vec![words.with("pick-service-none", &name)], rows: vec![back] };
    }
    let mut lines = vec![words.with("pick-service", &name)];
    lines.extend(left_out(words, services.len(), LINES_MAX));
    let mut rows: Vec<Vec<InlineKeyboardButton>> = Vec::new();
    for service in services.iter().take(LINES_MAX) {
        let unit = printable(&service.unit, BUTTON_NAME);
        let label = format!("{} {unit} — {}", service_symbol(service), printable(&service.active_state, BUTTON_NAME));
        rows.push(vec![button(&label, &Intent::AskRestart { server_id, unit: unit_tag(&service.unit) })]);
    }
    let turns = page_turns(words, list.number, list.pages, |page| Intent::Services { server_id, page });
    lines.extend(turns.line);
    rows.push(turns.buttons);
    rows.push(back);
    Card { lines, rows }
}

pub(super) fn choose(words: &Words, purpose: Purpose, servers: &[Server]) -> Card {
    if servers.is_empty() {
        return Card { lines: vec![words.get("servers-none")], rows: vec![vec![add_button(words)]] };
    }
    let (key, hint) = match purpose {
        Purpose::Status => ("choose-status", "choose-status-hint"),
        Purpose::Remove => ("choose-remove", "choose-remove-hint"),
        Purpose::Thresholds => ("choose-thresholds", "choose-thresholds-hint"),
    };
    let mut lines = vec![words.get(key)];
    if servers.len() > BUTTONS_MAX {
        lines.extend(left_out(words, servers.len(), BUTTONS_MAX));
        lines.push(words.get(hint));
    }
    let rows = server_rows(words, &servers[..servers.len().min(BUTTONS_MAX)], |server_id| match purpose {
        Purpose::Status => Intent::ShowServer { server_id },
        Purpose::Remove => Intent::AskRemove { server_id },
        Purpose::Thresholds => Intent::ShowThresholds { server_id: Some(server_id) },
    });
    Card { lines, rows }
}

pub(super) fn no_such_server(words: &Words, name: &str) -> Card {
    let line = words.with("no-such-server", &[("server", safe(name, width::NAME).into())]);
    Card { lines: vec![line], rows: vec![vec![servers_button(words)]] }
}

pub(super) fn servers_button(words: &Words) -> InlineKeyboardButton {
    button(&words.get("button-servers"), &Intent::Servers { page: 0 })
}

pub(super) fn add_button(words: &Words) -> InlineKeyboardButton {
    button(&words.get("button-add-server"), &Intent::AddServer { name: None })
}

/// "Page 2 of 5", and the ways to its neighbours; nothing where there is one page.
pub(super) struct PageTurns {
    pub(super) line: Option<String>,
    pub(super) buttons: Vec<InlineKeyboardButton>,
}

pub(super) fn page_turns(words: &Words, page: u32, pages: u32, to: impl Fn(u32) -> Intent) -> PageTurns {
    if pages < 2 {
        return PageTurns { line: None, buttons: Vec::new() };
    }
    let page = page.min(pages - 1);
    let mut buttons = Vec::new();
    if page > 0 {
        buttons.push(button(&words.get("button-previous"), &to(page - 1)));
    }
    if page + 1 < pages {
        buttons.push(button(&words.get("button-next"), &to(page + 1)));
    }
    let place = [("page", i64::from(page + 1).into()), ("pages", i64::from(pages).into())];
    PageTurns { line: Some(words.with("page-of", &place)), buttons }
}

fn server_rows(words: &Words, servers: &[Server], to: impl Fn(ServerId) -> Intent) -> Vec<Vec<InlineKeyboardButton>> {
    let buttons = servers.iter().map(|server| {
        let label = format!("{} {}", symbol(server.presence(words.now)), printable(&server.name, BUTTON_NAME));
        button(&label, &to(server.id))
    });
    let buttons: Vec<InlineKeyboardButton> = buttons.collect();
    let in_a_row = if buttons.len() > ROWS_MAX { 2 } else { 1 };
    buttons.chunks(in_a_row).map(<[_]>::to_vec).collect()
}

fn left_out(words: &Words, count: usize, shown: usize) -> Option<String> {
    let left_out = count.saturating_sub(shown);
    (left_out > 0).then(|| words.with("and-more", &[("count", left_out.into())]))
}
