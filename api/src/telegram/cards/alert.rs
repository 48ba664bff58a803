//! What is wrong, since when, and what can be done about it.

use osm_protocol::{action::Chore, messages::Process};
use teloxide::types::InlineKeyboardButton;

use super::{
    card::Card,
    figures::{Words, bytes, percent},
    lists::page_turns,
    markup::{code, safe, width},
    pairing::show_button,
    server::unit_state,
};
use crate::{
    domain::{
        Millis, SECOND,
        alert::{Rule, Severity},
        command::State,
        incident::Incident,
        intent::Intent,
        server::{Server, unit_tag},
    },
    query::{Page, alerts::Alert},
    telegram::{keyboards::button, text::printable},
};

/// Alerts that a digest names; the others it counts.
const NAMED: usize = 20;
/// Alerts that have a button in a digest.
const BUTTONS: usize = 6;
/// From here on it is more likely that the backend's own network is at fault.
const ALL_GONE: i64 = 3;

pub(super) fn alert(words: &Words, alert: &Alert) -> Card {
    let incident = &alert.incident;
    let mut lines = vec![line(words, incident)];
    lines.extend(condition(words, incident));
    lines.push(course(words, incident));
    lines.extend(unit_now(words, incident, &alert.server));
    if incident.is_flapping() {
        let key = if incident.quiet_since.is_some() && incident.is_open() { "alert-flapping-quiet" } else { "alert-flapping" };
        lines.push(words.with(key, &[("count", incident.times.into())]));
    }
    lines.extend(seen_to(words, incident));
    lines.extend(processes(words, incident));
    lines.extend(alert.command.as_ref().map(|command| {
        let arguments =
            [("person", safe(&command.requested_by, width::NAME).into()), ("ago", words.ago(command.created_at).into())];
        words.with(action_key(command.state), &arguments)
    }));
    Card { lines, rows: vec![see_to_buttons(words, incident), fix_buttons(words, incident, &alert.server)] }
}

/// "🔴 <b>web-1</b> · critical: CPU at 97 %".
fn line(words: &Words, incident: &Incident) -> String {
    format!("{} <b>{}</b> · {}", symbol(incident), safe(&incident.server_name, width::NAME), what(words, incident))
}

fn symbol(incident: &Incident) -> &'static str {
    match (incident.is_open(), incident.limits.severity) {
        // Nothing is wrong; it is only told.
        _ if incident.rule == Rule::Reboot => "🔄",
        (false, _) => "✅",
        (true, Severity::Critical) => "🔴",
        (true, Severity::Warning) => "🟠",
    }
}

/// Gives what is wrong, with its figure.
fn what(words: &Words, incident: &Incident) -> String {
    let value = || figure(words, incident.rule, incident.value);
    let unit = || code(&incident.subject, width::UNIT).into();
    match incident.rule {
        Rule::Cpu => words.with("alert-cpu", &[("value", value().into())]),
        Rule::Memory => words.with("alert-memory", &[("value", value().into())]),
        Rule::Swap => words.with("alert-swap", &[("value", value().into())]),
        Rule::Disk => {
            words.with("alert-disk", &[("mount", code(&incident.subject, width::MOUNT).into()), ("value", value().into())])
        }
        Rule::Inodes => {
            words.with("alert-inodes", &[("mount", code(&incident.subject, width::MOUNT).into()), ("value", value().into())])
        }
        Rule::ReadOnly => words.with("alert-read-only", &[("mount", code(&incident.subject, width::MOUNT).into())]),
        Rule::NoAnswer => words.with("alert-no-answer", &[("mount", code(&incident.subject, width::MOUNT).into())]),
        Rule::Load => words.with("alert-load", &[("value", value().into())]),
        Rule::Service => words.with("alert-service", &[("unit", unit())]),
        Rule::Restarts => words.with("alert-restarts", &[("unit", unit()), ("value", value().into())]),
        Rule::NotReady => words.with("alert-not-ready", &[("unit", unit())]),
        Rule::Down => words.with("alert-down", &[("unit", unit())]),
        Rule::Unit => words.with("alert-unit", &[("unit", unit())]),
        Rule::Offline => words.with("alert-offline", &[("moment", words.clock(incident.since).into())]),
        Rule::Reboot => words.with("alert-reboot", &[("moment", words.clock(incident.since).into())]),
        Rule::Clock => words.with("alert-clock", &[("value", value().into())]),
        Rule::Commands => words.get("alert-commands"),
    }
}

/// Gives a rule's figure with its unit.
pub(super) fn figure(words: &Words, rule: Rule, value: f64) -> String {
    match rule {
        Rule::Cpu | Rule::Memory | Rule::Swap | Rule::Disk | Rule::Inodes => percent(value),
        Rule::Load => words.with("per-cpu", &[("value", format!("{value:.1}").into())]),
        Rule::Restarts => words.with("restart-count", &[("count", value.into())]),
        Rule::Offline => words.with("missed-reports", &[("count", value.into())]),
        #[expect(clippy::cast_possible_truncation, reason = "seconds of a clock, for people")]
        Rule::Clock => words.duration((value * 1000.0) as Millis),
        Rule::ReadOnly
        | Rule::NoAnswer
        | Rule::Service
        | Rule::NotReady
        | Rule::Down
        | Rule::Unit
        | Rule::Reboot
        | Rule::Commands => String::new(),
    }
}

/// Gives what the host says of the unit by now, while something is wrong with it.
fn unit_now(words: &Words, incident: &Incident, server: &Server) -> Option<String> {
    if !incident.is_open() || !(incident.rule.is_of_service() || incident.rule == Rule::Unit) {
        return None;
    }
    let services = &server.latest.as_ref()?.report.services;
    let service = services.iter().find(|service| service.unit == incident.subject)?;
    Some(words.with("alert-unit-now", &[("state", unit_state(words, service).into())]))
}

/// Gives the limit that it went over.
fn condition(words: &Words, incident: &Incident) -> Option<String> {
    if !incident.rule.has_lower() {
        return None;
    }
    let limits = &incident.limits;
    let limit = figure(words, incident.rule, limits.limit);
    let mut arguments = vec![("limit", limit.into()), ("lower", figure(words, incident.rule, limits.lower).into())];
    if limits.hold < SECOND {
        return Some(words.with("alert-limit", &arguments));
    }
    arguments.push(("hold", words.duration(limits.hold).into()));
    Some(words.with("alert-limit-held", &arguments))
}

/// Since when, or how long it lasted.
fn course(words: &Words, incident: &Incident) -> String {
    let severity = words.get(severity_key(incident.limits.severity));
    match incident.resolved_at {
        _ if incident.rule == Rule::Reboot => words.get("alert-reboot-unasked"),
        None => words.with(
            "alert-since",
            &[
                ("severity", severity.into()),
                ("moment", words.moment(incident.since).into()),
                ("ago", words.ago(incident.since).into()),
            ],
        ),
        Some(resolved_at) => words.with(
            "alert-over",
            &[
                ("duration", words.duration(resolved_at - incident.since).into()),
                ("from", words.moment(incident.since).into()),
                ("to", words.clock(resolved_at).into()),
            ],
        ),
    }
}

pub(super) fn severity_key(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "severity-critical",
        Severity::Warning => "severity-warning",
    }
}

fn seen_to(words: &Words, incident: &Incident) -> Option<String> {
    if let Some(by) = &incident.acked_by {
        return Some(words.with("alert-acknowledged", &[("person", safe(by, width::NAME).into())]));
    }
    let until = incident.snoozed_until.filter(|_| incident.is_snoozed(words.now) && incident.is_open())?;
    Some(words.with("alert-snoozed", &[("moment", words.moment(until).into())]))
}

fn processes(words: &Words, incident: &Incident) -> Vec<String> {
    if incident.processes.is_empty() {
        return Vec::new();
    }
    let line = |process: &Process| {
        let arguments = [
            ("name", code(&process.name, width::UNIT).into()),
            ("cpu", percent(process.cpu).into()),
            ("memory", bytes(process.memory).into()),
        ];
        words.with("alert-process", &arguments)
    };
    std::iter::once(words.get("alert-processes")).chain(incident.processes.iter().map(line)).collect()
}

fn action_key(state: State) -> &'static str {
    match state {
        State::Queued | State::Delivered => "alert-action-under-way",
        State::Succeeded => "alert-action-succeeded",
        _ => "alert-action-failed",
    }
}

fn see_to_buttons(words: &Words, incident: &Incident) -> Vec<InlineKeyboardButton> {
    if !incident.is_open() {
        return Vec::new();
    }
    let incident_id = || incident.id;
    let ack = (incident.acked_by.is_none())
        .then(|| button(&words.get("button-acknowledge"), &Intent::Acknowledge { incident_id: incident_id() }));
    let snooze = crate::telegram::keyboards::HOURS.into_iter().map(|hours| {
        let label = words.with("button-snooze", &[("hours", hours.into())]);
        button(&label, &Intent::Snooze { incident_id: incident_id(), hours })
    });
    ack.into_iter().chain(snooze).collect()
}

/// Gives what the chat can do about it, where it can.
fn fix_buttons(words: &Words, incident: &Incident, server: &Server) -> Vec<InlineKeyboardButton> {
    let mut buttons = Vec::new();
    let server_id = server.id;
    if incident.is_open() && !server.suspended {
        let tag = unit_tag(&incident.subject);
        if incident.rule.is_of_service() && server.restartable(&tag).is_some() {
            let label = words.with("button-restart", &[("unit", printable(&incident.subject, 40).into())]);
            buttons.push(button(&label, &Intent::AskRestart { server_id, unit: tag }));
        }
        if incident.rule == Rule::Disk && server.keeps_logs_on(&incident.subject) && server.offers(Chore::CleanJournal) {
            let intent = Intent::AskChore { server_id, chore: Chore::CleanJournal };
            buttons.push(button(&words.get("button-clean-journal"), &intent));
        }
    }
    buttons.push(show_button(words, &server.name, server.id));
    buttons
}

/// Many alerts in one message.
pub(super) fn digest(words: &Words, incidents: &[Incident], servers: i64) -> Card {
    let open = incidents.iter().filter(|incident| incident.is_open()).count();
    let all_offline = incidents.iter().all(|incident| incident.rule == Rule::Offline);
    let mut lines = if all_offline { vanished(words, incidents, open, servers) } else { vec![counts(words, incidents, open)] };
    // What is over stands below what is open.
    let (first, last): (Vec<&Incident>, Vec<&Incident>) = incidents.iter().partition(|incident| incident.is_open());
    let named = first.iter().chain(&last).take(NAMED);
    lines.extend(named.map(|incident| {
        let acknowledged = if incident.acked_by.is_some() && incident.is_open() { " 👀" } else { "" };
        format!("{}{acknowledged}", line(words, incident))
    }));
    let more = incidents.len().saturating_sub(NAMED);
    if more > 0 {
        lines.push(words.with("and-more", &[("count", more.into())]));
    }
    let unseen = incidents.iter().any(|incident| incident.is_open() && incident.acked_by.is_none());
    Card { lines, rows: list_rows(words, &first, unseen.then(|| acknowledge_all(words))) }
}

/// "12 of 40 servers stopped reporting at 14:02".
fn vanished(words: &Words, incidents: &[Incident], open: usize, servers: i64) -> Vec<String> {
    let since = incidents.iter().map(|incident| incident.since).min().unwrap_or_default();
    let count = i64::try_from(incidents.len()).unwrap_or(i64::MAX);
    let mut lines = vec![words.with(
        "alert-vanished",
        &[("count", count.into()), ("servers", servers.max(count).into()), ("moment", words.clock(since).into())],
    )];
    let back = incidents.len() - open;
    if back > 0 {
        lines.push(words.with("alert-vanished-back", &[("back", back.into()), ("count", count.into())]));
    } else if count >= servers && count >= ALL_GONE {
        lines.push(words.get("alert-vanished-all"));
    }
    lines
}

fn counts(words: &Words, incidents: &[Incident], open: usize) -> String {
    let critical = incidents.iter().filter(|incident| incident.limits.severity == Severity::Critical).count();
    let arguments = [("count", incidents.len().into()), ("critical", critical.into()), ("open", open.into())];
    words.with("alert-digest", &arguments)
}

fn list_rows(words: &Words, open: &[&Incident], attend: Option<InlineKeyboardButton>) -> Vec<Vec<InlineKeyboardButton>> {
    let mut rows: Vec<Vec<InlineKeyboardButton>> =
        open.iter().take(BUTTONS).map(|incident| vec![open_button(incident)]).collect();
    let list = button(&words.get("button-alerts"), &Intent::Alerts { page: 0 });
    rows.push(attend.into_iter().chain([list]).collect());
    rows
}

fn acknowledge_all(words: &Words) -> InlineKeyboardButton {
    button(&words.get("button-acknowledge-all"), &Intent::AcknowledgeAll)
}

fn open_button(incident: &Incident) -> InlineKeyboardButton {
    let subject = if incident.subject.is_empty() { incident.rule.as_str() } else { &incident.subject };
    let label = format!("{} {} · {}", symbol(incident), printable(&incident.server_name, 28), printable(subject, 28));
    button(&label, &Intent::ShowIncident { incident_id: incident.id })
}

/// Tells that what one message told is over.
pub(super) fn recovered(words: &Words, over: &[Incident], open: &[Incident]) -> Card {
    let mut lines = Vec::new();
    if over.len() > 1 {
        let from = over.iter().map(|incident| incident.since).min().unwrap_or_default();
        let to = over.iter().filter_map(|incident| incident.resolved_at).max().unwrap_or_default();
        let key = if over.iter().all(|incident| incident.rule == Rule::Offline) { "recovered-servers" } else { "recovered-many" };
        lines.push(words.with(key, &[("count", over.len().into()), ("duration", words.duration(to - from).into())]));
    }
    lines.extend(over.iter().take(NAMED).map(|incident| {
        let lasted = words.duration(incident.resolved_at.unwrap_or(words.now) - incident.since);
        let what = format!("<b>{}</b> · {}", safe(&incident.server_name, width::NAME), what(words, incident));
        words.with("recovered-one", &[("what", what.into()), ("duration", lasted.into())])
    }));
    let more = over.len().saturating_sub(NAMED);
    if more > 0 {
        lines.push(words.with("and-more", &[("count", more.into())]));
    }
    if open.is_empty() {
        lines.push(words.get("recovered-all-well"));
        return Card { lines, rows: Vec::new() };
    }
    lines.push(words.with("recovered-still-open", &[("count", open.len().into())]));
    lines.extend(open.iter().take(3).map(|incident| line(words, incident)));
    Card { lines, rows: vec![vec![button(&words.get("button-alerts"), &Intent::Alerts { page: 0 })]] }
}

pub(super) fn reminder(words: &Words, open: &[Incident]) -> Card {
    let mut lines = vec![words.with("reminder-title", &[("count", open.len().into())])];
    lines.extend(open.iter().take(NAMED).map(|incident| format!("{} · {}", line(words, incident), words.ago(incident.since))));
    let more = open.len().saturating_sub(NAMED);
    if more > 0 {
        lines.push(words.with("and-more", &[("count", more.into())]));
    }
    Card { lines, rows: list_rows(words, &open.iter().collect::<Vec<_>>(), Some(acknowledge_all(words))) }
}

/// `/alerts`.
pub(super) fn alerts(words: &Words, list: &Page<Incident>) -> Card {
    let (open, count) = (&list.items, list.count);
    let test = button(&words.get("button-test-alert"), &Intent::TestAlert);
    let limits = button(&words.get("button-thresholds"), &Intent::ShowThresholds { server_id: None });
    if open.is_empty() {
        return Card { lines: vec![words.get("alerts-none")], rows: vec![vec![test, limits]] };
    }
    let mut lines = vec![words.with("alerts-title", &[("count", count.into())])];
    lines.extend(open.iter().map(|incident| {
        let state = match (&incident.acked_by, incident.message_id.is_none(), incident.is_snoozed(words.now)) {
            (Some(_), _, _) => " · 👀",
            (None, true, _) => " · 🔕",
            (None, false, true) => " · 😴",
            _ => "",
        };
        format!("{} · {}{state}", line(words, incident), words.ago(incident.since))
    }));
    let turns = page_turns(words, list.number, list.pages, |page| Intent::Alerts { page });
    lines.extend(turns.line);
    let mut rows: Vec<Vec<InlineKeyboardButton>> = open.iter().map(|incident| vec![open_button(incident)]).collect();
    rows.push(turns.buttons);
    if open.iter().any(|incident| incident.acked_by.is_none()) {
        rows.push(vec![button(&words.get("button-acknowledge-all"), &Intent::AcknowledgeAll)]);
    }
    rows.push(vec![test, limits]);
    Card { lines, rows }
}
