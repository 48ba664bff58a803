//! A server's card: how it is, in figures, worst first.

use osm_protocol::{
    action::Chore,
    messages::{Disk, Host, Report, Service, Systemd, Unread, UnreadDisk},
};
use teloxide::types::InlineKeyboardButton;

use super::{
    card::Card,
    figures::{Words, bytes, percent},
    lists::page_turns,
    markup::{Section, code, paginate, safe, width},
    server::{HIGH_PERCENT, service_symbol, title, unit_state},
};
use crate::{
    domain::{
        Millis, SECOND,
        intent::Intent,
        server::{Condition, Latest, Presence, Server, condition, disk_percent, inode_percent, memory_percent, swap_percent},
    },
    telegram::keyboards::button,
};

/// A clock that is off by more makes the host refuse commands.
const CLOCK_MAX: u64 = 30 * SECOND as u64;

pub(super) fn status(words: &Words, server: &Server, page: u32) -> Card {
    let mut lines = vec![title(words, server)];
    if server.open_alerts > 0 {
        lines.push(words.with("open-alerts", &[("count", server.open_alerts.into())]));
    }
    if server.suspended {
        lines.push(words.get("status-suspended"));
    }
    if let Presence::Unpaired { .. } = server.presence(words.now) {
        lines.push(words.get("status-unpaired"));
        let remove = button(&words.get("button-remove"), &Intent::AskRemove { server_id: server.id });
        return Card { lines, rows: vec![vec![remove]] };
    }
    let Some(latest) = &server.latest else {
        let paired_at = server.paired_at;
        let paired = [("moment", words.moment(paired_at).into()), ("ago", words.ago(paired_at).into())];
        lines.push(words.with("status-waiting", &paired));
        return Card { lines, rows: vec![buttons(words, server, 0)] };
    };
    let pages = paginate(&[disks(words, &latest.report), services(words, &latest.report)]);
    let last = u32::try_from(pages.len() - 1).unwrap_or(u32::MAX);
    let page = page.min(last);
    if page == 0 {
        lines.extend(head(words, server, latest));
    }
    lines.extend(pages.into_iter().nth(page as usize).unwrap_or_default());
    let turns = page_turns(words, page, last + 1, |page| Intent::Refresh { server_id: server.id, page });
    if let Some(page_line) = turns.line {
        lines.extend([String::new(), page_line]);
    }
    Card { lines, rows: vec![turns.buttons, buttons(words, server, page), chores(words, server)] }
}

fn head(words: &Words, server: &Server, latest: &Latest) -> Vec<String> {
    let report = &latest.report;
    let age = [("moment", words.moment(report.at).into()), ("ago", words.ago(report.at).into())];
    let stale = matches!(server.presence(words.now), Presence::Stale { .. });
    let mut lines = vec![words.with(if stale { "status-figures-stale" } else { "status-figures" }, &age)];
    lines.extend(warnings(words, report));
    lines.push(String::new());
    lines.extend(system(words, &report.host, report.at));
    lines.push(String::new());
    lines.extend(load(words, report));
    lines
}

fn warnings(words: &Words, report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let off = report.clock_ahead_ms.unsigned_abs();
    if off > CLOCK_MAX {
        let key = if report.clock_ahead_ms > 0 { "status-clock-ahead" } else { "status-clock-behind" };
        let span = Millis::try_from(off).unwrap_or(Millis::MAX);
        lines.push(words.with(key, &[("duration", words.duration(span).into())]));
    }
    if let Some(why) = &report.commands_unreachable {
        lines.push(words.with("status-commands-unreachable", &[("why", safe(why, width::REASON).into())]));
    }
    lines
}

fn system(words: &Words, host: &Host, at: Millis) -> Vec<String> {
    let shown = |value: &str| safe(value, width::WORDS);
    let since = at.saturating_sub(i64::try_from(host.uptime_s).unwrap_or(0).saturating_mul(SECOND));
    let uptime = words.duration(at.saturating_sub(since));
    vec![
        words.with("status-system", &[("os", shown(&host.os).into()), ("arch", shown(&host.arch).into())]),
        words.with("status-kernel", &[("kernel", shown(&host.kernel).into())]),
        words.with("status-uptime", &[("duration", uptime.into()), ("moment", words.moment(since).into())]),
    ]
}

fn load(words: &Words, report: &Report) -> Vec<String> {
    let cpus = || report.host.cpus.into();
    let mut lines = vec![match report.cpu {
        Some(cpu) => words.with("status-cpu", &[("percent", percent(cpu).into()), ("cpus", cpus())]),
        None => words.get("status-cpu-unknown"),
    }];
    if let Some(memory) = &report.memory {
        let used = memory.total.saturating_sub(memory.available);
        lines.push(share(words, "status-memory", memory_percent(memory), used, memory.total));
        lines.push(match swap_percent(memory) {
            Some(swap) => {
                share(words, "status-swap", swap, memory.swap_total.saturating_sub(memory.swap_free), memory.swap_total)
            }
            None => words.get("status-swap-none"),
        });
    }
    if let Some(load) = &report.load {
        let average = |value: f64| format!("{value:.2}").into();
        let averages = [("one", average(load.one)), ("five", average(load.five)), ("fifteen", average(load.fifteen))];
        lines.push(words.with("status-load", &[&averages[..], &[("cpus", cpus())]].concat()));
    }
    lines
}

fn share(words: &Words, key: &str, share: f64, used: u64, total: u64) -> String {
    words.with(key, &[("percent", percent(share).into()), ("used", bytes(used).into()), ("total", bytes(total).into())])
}

fn disks(words: &Words, report: &Report) -> Section {
    let mut disks: Vec<(&Disk, f64)> = report.disks.iter().map(|disk| (disk, worst_share(disk))).collect();
    disks.sort_by(|(one, a), (other, b)| b.total_cmp(a).then_with(|| one.mount.cmp(&other.mount)));
    let mut lines: Vec<String> = report.unread_disks.iter().map(|disk| unread_line(words, disk)).collect();
    lines.extend(disks.into_iter().map(|(disk, worst)| disk_line(words, disk, worst)));
    if report.disks_left_out > 0 {
        lines.push(words.with("status-disks-left-out", &[("count", report.disks_left_out.into())]));
    }
    Section { heading: words.get("status-disks"), lines }
}

fn unread_line(words: &Words, disk: &UnreadDisk) -> String {
    let key = match disk.why {
        Unread::NoAnswer => "status-disk-no-answer",
        Unread::Forbidden => "status-disk-forbidden",
    };
    words.with(key, &[("mount", code(&disk.mount, width::MOUNT).into())])
}

fn worst_share(disk: &Disk) -> f64 {
    disk_percent(disk).max(inode_percent(disk).unwrap_or(0.0))
}

fn disk_line(words: &Words, disk: &Disk, worst: f64) -> String {
    let mut parts = vec![words.with(
        "status-disk",
        &[
            ("mount", code(&disk.mount, width::MOUNT).into()),
            ("percent", percent(disk_percent(disk)).into()),
            ("total", bytes(disk.total).into()),
            ("free", bytes(disk.available).into()),
        ],
    )];
    parts.extend(inode_percent(disk).map(|share| words.with("status-inodes", &[("percent", percent(share).into())])));
    if disk.read_only {
        parts.push(words.get("status-read-only"));
    }
    // Rounded, so that what is shown as 90 % is marked.
    let mark = if worst.round() >= HIGH_PERCENT || disk.read_only { "⚠ " } else { "" };
    format!("{mark}{}", parts.join(" · "))
}

fn services(words: &Words, report: &Report) -> Section {
    let heading = words.get("status-services");
    let lines = match report.systemd {
        Systemd::Absent => vec![words.get("status-systemd-absent")],
        Systemd::Unreachable => vec![words.get("status-systemd-unreachable")],
        Systemd::Available if report.services.is_empty() => vec![words.get("status-services-none")],
        Systemd::Available => {
            let mut services: Vec<&Service> = report.services.iter().collect();
            services.sort_by(|one, other| condition(one).cmp(&condition(other)).then_with(|| one.unit.cmp(&other.unit)));
            let mut lines = vec![summary(words, &services)];
            lines.extend(services.iter().map(|service| service_line(words, service)));
            if let Some(why) = &report.monitored_only {
                lines.push(words.with("status-monitored-only", &[("why", safe(why, width::REASON).into())]));
            } else if !services.iter().any(|service| service.restartable) {
                lines.push(words.get("status-none-restartable"));
            }
            lines
        }
    };
    Section { heading, lines }
}

fn summary(words: &Words, services: &[&Service]) -> String {
    let keys = [
        (Condition::Failed, "services-failed"),
        (Condition::InTrouble, "services-in-trouble"),
        (Condition::Changing, "services-changing"),
        (Condition::Running, "services-running"),
        (Condition::Stopped, "services-stopped"),
    ];
    let counts = keys.into_iter().filter_map(|(wanted, key)| {
        let count = services.iter().filter(|service| condition(service) == wanted).count();
        (count > 0).then(|| words.with(key, &[("count", count.into())]))
    });
    counts.collect::<Vec<_>>().join(" · ")
}

fn service_line(words: &Words, service: &Service) -> String {
    format!("{} {} · {}", service_symbol(service), code(&service.unit, width::UNIT), unit_state(words, service))
}

fn buttons(words: &Words, server: &Server, page: u32) -> Vec<InlineKeyboardButton> {
    let server_id = || server.id;
    let mut buttons = vec![button(&words.get("button-refresh"), &Intent::Refresh { server_id: server_id(), page })];
    let services = server.latest.iter().flat_map(|latest| &latest.report.services);
    if !server.suspended && services.into_iter().any(|service| service.restartable) {
        buttons.push(button(&words.get("button-services"), &Intent::Services { server_id: server_id(), page: 0 }));
    }
    buttons
}

/// Gives what its host lets the chat ask for.
fn chores(words: &Words, server: &Server) -> Vec<InlineKeyboardButton> {
    let offered = Chore::ALL.into_iter().filter(|chore| !server.suspended && server.offers(*chore));
    let button_of = |chore| {
        let label = match chore {
            Chore::CleanJournal => "button-clean-journal",
            Chore::RunLogrotate => "button-logrotate",
            Chore::Reboot => "button-reboot",
        };
        button(&words.get(label), &Intent::AskChore { server_id: server.id, chore })
    };
    offered.map(button_of).collect()
}
