//! Limits, and what another one would have done.

use teloxide::types::InlineKeyboardButton;

use super::{
    alert::{figure, severity_key},
    card::Card,
    figures::Words,
    markup::{code, safe, width},
};
use crate::{
    domain::{
        DAY,
        alert::{Limits, Rule, Setting, Severity, Step},
        intent::Intent,
    },
    query::thresholds::{HISTORY, History, Scope, Threshold, Worst},
    telegram::keyboards::button,
};

/// Servers that have a button of their own.
const BUTTONS: usize = 20;

pub(super) fn thresholds(words: &Words, scope: &Scope, limits: &[(Rule, Limits)]) -> Card {
    let mut lines = vec![title(words, scope), String::new()];
    lines.extend(
        limits.iter().map(|(rule, limits)| format!("{}: {}", words.get(name_key(*rule)), described(words, *rule, limits))),
    );
    lines.extend([String::new(), words.get("thresholds-hint")]);
    let of_scope = |rule| Intent::TryThreshold { server_id: scope.server.as_ref().map(|server| server.id), rule, setting: None };
    let buttons: Vec<InlineKeyboardButton> =
        limits.iter().map(|(rule, _)| button(&words.get(label_key(*rule)), &of_scope(*rule))).collect();
    let mut rows: Vec<Vec<InlineKeyboardButton>> = buttons.chunks(3).map(<[_]>::to_vec).collect();
    rows.extend(other_scopes(words, scope));
    Card { lines, rows }
}

fn title(words: &Words, scope: &Scope) -> String {
    match &scope.server {
        Some(server) => words.with("thresholds-server", &[("server", safe(&server.name, width::NAME).into())]),
        None => words.get("thresholds-chat"),
    }
}

/// From the chat to its servers, and back.
fn other_scopes(words: &Words, scope: &Scope) -> Vec<Vec<InlineKeyboardButton>> {
    if scope.server.is_some() {
        return vec![vec![button(&words.get("button-thresholds-chat"), &Intent::ShowThresholds { server_id: None })]];
    }
    let buttons: Vec<InlineKeyboardButton> = scope
        .servers
        .iter()
        .take(BUTTONS)
        .map(|server| button(&format!("🖥 {}", server.name), &Intent::ShowThresholds { server_id: Some(server.id) }))
        .collect();
    buttons.chunks(2).map(<[_]>::to_vec).collect()
}

/// "90 % for 10 min, over below 85 % · critical".
fn described(words: &Words, rule: Rule, limits: &Limits) -> String {
    if !limits.enabled {
        return words.get("threshold-off");
    }
    let severity = words.get(severity_key(limits.severity));
    let limit = figure(words, rule, limits.limit);
    let hold = || words.duration(limits.hold).into();
    match (rule.has_lower(), limits.hold > 0) {
        (true, held) => {
            let lower = figure(words, rule, limits.lower);
            let mut arguments = vec![("limit", limit.into()), ("lower", lower.into()), ("severity", severity.into())];
            if !held {
                return words.with("threshold-limit", &arguments);
            }
            arguments.push(("hold", hold()));
            words.with("threshold-limit-held", &arguments)
        }
        (false, _) if !limit.is_empty() => {
            words.with("threshold-missed", &[("limit", limit.into()), ("severity", severity.into())])
        }
        (false, true) => words.with("threshold-event-held", &[("hold", hold()), ("severity", severity.into())]),
        (false, false) => words.with("threshold-event", &[("severity", severity.into())]),
    }
}

pub(super) fn threshold(words: &Words, view: &Threshold) -> Card {
    let Threshold { scope, rule, present, tried, worst, .. } = view;
    let mut lines = vec![title(words, scope), format!("<b>{}</b>", words.get(name_key(*rule))), String::new()];
    lines.push(words.with("threshold-present", &[("limits", described(words, *rule, present).into())]));
    if let Some(tried) = tried {
        lines.push(words.with("threshold-tried", &[("limits", described(words, *rule, &tried.limits()).into())]));
    }
    if let Some(Worst { server, subject, value }) = worst.as_ref().filter(|_| rule.range().is_some()) {
        let mut whose = safe(server, width::NAME);
        if !subject.is_empty() {
            whose = format!("{whose} · {}", code(subject, width::MOUNT));
        }
        lines.push(words.with("threshold-now", &[("value", figure(words, *rule, *value).into()), ("server", whose.into())]));
    }
    lines.extend(history(words, view));
    Card { lines, rows: buttons(words, view) }
}

/// "In the last 7 days: 14 alerts at 90 % for 5 min, 1 at 95 % for 10 min."
fn history(words: &Words, view: &Threshold) -> Option<String> {
    let fired = match &view.history {
        History::Unknown => return None,
        History::TooMany { most } => return Some(words.with("history-too-many", &[("most", (*most).into())])),
        History::Fired(fired) => fired,
    };
    let at = |limits: &Limits, count: u32| {
        if !limits.enabled {
            return words.get("history-off");
        }
        let limit = figure(words, view.rule, limits.limit);
        words
            .with("history-at", &[("count", count.into()), ("limit", limit.into()), ("hold", words.duration(limits.hold).into())])
    };
    let compared = std::iter::once(view.present).chain(view.tried.map(Setting::limits));
    let parts: Vec<String> = compared.zip(fired).map(|(limits, count)| at(&limits, *count)).collect();
    Some(words.with("history-days", &[("days", (HISTORY / DAY).into()), ("alerts", parts.join("; ").into())]))
}

fn buttons(words: &Words, view: &Threshold) -> Vec<Vec<InlineKeyboardButton>> {
    let Threshold { scope, rule, present, tried, is_set, .. } = view;
    let (rule, setting) = (*rule, tried.unwrap_or(Setting::from(*present)));
    let server_id = || scope.server.as_ref().map(|server| server.id);
    let to = |label: &str, setting: Setting| {
        button(label, &Intent::TryThreshold { server_id: server_id(), rule, setting: Some(setting) })
    };
    let mut rows = Vec::new();
    if setting.enabled && rule.range().is_some() {
        let limit = figure(words, rule, setting.limits().limit);
        rows.push(vec![
            to(&words.with("button-lower", &[("value", limit.clone().into())]), setting.with_limit(rule, Step::Down)),
            to(&words.with("button-higher", &[("value", limit.into())]), setting.with_limit(rule, Step::Up)),
        ]);
    }
    if setting.enabled && rule.has_lower() {
        let lower = figure(words, rule, setting.limits().lower);
        rows.push(vec![
            to(&words.with("button-over-lower", &[("value", lower.clone().into())]), setting.with_lower(rule, Step::Down)),
            to(&words.with("button-over-higher", &[("value", lower.into())]), setting.with_lower(rule, Step::Up)),
        ]);
    }
    if setting.enabled && rule.has_hold() {
        rows.push(vec![
            to(&words.get("button-shorter"), setting.with_hold(rule, Step::Down)),
            to(&words.get("button-longer"), setting.with_hold(rule, Step::Up)),
        ]);
    }
    let other = match setting.severity {
        Severity::Critical => ("button-make-warning", Severity::Warning),
        Severity::Warning => ("button-make-critical", Severity::Critical),
    };
    let switch = if setting.enabled { "button-switch-off" } else { "button-switch-on" };
    rows.push(vec![
        to(&words.get(other.0), Setting { severity: other.1, ..setting }),
        to(&words.get(switch), Setting { enabled: !setting.enabled, ..setting }),
    ]);
    let mut last = Vec::new();
    if tried.is_some() {
        let save = Intent::SetThreshold { server_id: server_id(), rule, setting: Some(setting) };
        last.push(button(&words.get("button-save"), &save));
    } else if *is_set {
        last.push(button(&words.get("button-reset"), &Intent::SetThreshold { server_id: server_id(), rule, setting: None }));
    }
    last.push(button(&words.get("button-back"), &Intent::ShowThresholds { server_id: server_id() }));
    rows.push(last);
    rows
}

fn name_key(rule: Rule) -> &'static str {
    match rule {
        Rule::Cpu => "rule-cpu",
        Rule::Memory => "rule-memory",
        Rule::Swap => "rule-swap",
        Rule::Disk => "rule-disk",
        Rule::Inodes => "rule-inodes",
        Rule::ReadOnly => "rule-read-only",
        Rule::NoAnswer => "rule-no-answer",
        Rule::Load => "rule-load",
        Rule::Service => "rule-service",
        Rule::Restarts => "rule-restarts",
        Rule::NotReady => "rule-not-ready",
        Rule::Down => "rule-down",
        Rule::Unit => "rule-unit",
        Rule::Offline => "rule-offline",
        Rule::Reboot => "rule-reboot",
        Rule::Clock => "rule-clock",
        Rule::Commands => "rule-commands",
    }
}

/// Gives the same in a word.
fn label_key(rule: Rule) -> &'static str {
    match rule {
        Rule::Cpu => "button-cpu",
        Rule::Memory => "button-memory",
        Rule::Swap => "button-swap",
        Rule::Disk => "button-disk",
        Rule::Inodes => "button-inodes",
        Rule::ReadOnly => "button-read-only",
        Rule::NoAnswer => "button-no-answer",
        Rule::Load => "button-load",
        Rule::Service => "button-service",
        Rule::Restarts => "button-restarts",
        Rule::NotReady => "button-not-ready",
        Rule::Down => "button-down",
        Rule::Unit => "button-unit",
        Rule::Offline => "button-offline",
        Rule::Reboot => "button-rebooted",
        Rule::Clock => "button-clock",
        Rule::Commands => "button-commands",
    }
}
