//! A server's state in a word, and its worst figure.

use osm_protocol::messages::{Report, Service, Trouble};

use super::{
    figures::{Words, percent},
    markup::{code, safe, width},
};
use crate::domain::{
    SECOND,
    server::{Condition, Presence, Server, condition, disk_percent, inode_percent, memory_percent},
};

/// Shares of a disk from here on are marked.
pub(super) const HIGH_PERCENT: f64 = 90.0;

/// "🟢 <b>web-1</b> · online".
pub(super) fn title(words: &Words, server: &Server) -> String {
    let presence = server.presence(words.now);
    let state = match presence {
        Presence::Waiting => words.get("state-waiting"),
        Presence::Online => words.get("state-online"),
        Presence::Unpaired { since } => words.with("state-unpaired", &[("moment", words.moment(since).into())]),
        Presence::Stale { since } => {
            words.with("state-stale", &[("moment", words.moment(since).into()), ("ago", words.ago(since).into())])
        }
    };
    format!("{} <b>{}</b> · {state}", symbol(presence), safe(&server.name, width::NAME))
}

pub(super) fn symbol(presence: Presence) -> &'static str {
    match presence {
        Presence::Waiting => "⚪",
        Presence::Unpaired { .. } => "⚫",
        Presence::Online => "🟢",
        Presence::Stale { .. } => "🟠",
    }
}

pub(super) fn service_symbol(service: &Service) -> &'static str {
    match condition(service) {
        Condition::Failed => "🔴",
        Condition::InTrouble => "🟠",
        // On the way from one to another.
        Condition::Changing => "🟡",
        Condition::Running => "🟢",
        Condition::Stopped => "⚪",
    }
}

/// Gives a unit's state in systemd's own words, since who restarts services knows them and finds them in the manual; then what
/// is wrong besides: "active (running) · restarted 7 times, the last time 20 s ago: exit-code, status 1".
pub(super) fn unit_state(words: &Words, service: &Service) -> String {
    let shown = |text: &str| safe(text, width::WORDS);
    let reason = service.result.as_deref().map(|result| match service.status {
        Some(status) => words.with("unit-reason", &[("result", shown(result).into()), ("status", i64::from(status).into())]),
        None => shown(result),
    });
    let is_failed = service.active_state == "failed";
    let detail = reason.clone().filter(|_| is_failed).unwrap_or_else(|| shown(&service.sub_state));
    let mut state = shown(&service.active_state);
    if !detail.is_empty() {
        state = format!("{state} ({detail})");
    }
    let restarts = restarts(words, service);
    let mut parts: Vec<String> = std::iter::once(state).chain(restarts).collect();
    if let (Some(reason), Some(last)) = (reason.filter(|_| !is_failed), parts.last_mut()) {
        *last = format!("{last}: {reason}");
    }
    parts.extend(service.trouble.map(|trouble| match (trouble, &service.waits_for) {
        (Trouble::NotReady, _) => words.get("unit-not-ready"),
        (Trouble::Down, None) => words.get("unit-down"),
        (Trouble::Down, Some(unit)) => words.with("unit-down-for", &[("unit", code(unit, width::UNIT).into())]),
    }));
    parts.join(" · ")
}

fn restarts(words: &Words, service: &Service) -> Option<String> {
    let count = service.restarts.filter(|count| *count > 0)?;
    let ago = service.restarted_ago_s.map(|seconds| words.duration(i64::from(seconds) * SECOND))?;
    Some(words.with("unit-restarts", &[("count", i64::from(count).into()), ("ago", ago.into())]))
}

/// Gives what is worst on a server: "1 service failed · disk / 91 %".
pub(super) fn worst(words: &Words, report: &Report) -> Option<String> {
    let counted = [(Condition::Failed, "worst-services"), (Condition::InTrouble, "worst-in-trouble")];
    let services = counted.into_iter().filter_map(|(wanted, key)| {
        let count = report.services.iter().filter(|service| condition(service) == wanted).count();
        (count > 0).then(|| words.with(key, &[("count", count.into())]))
    });
    let parts: Vec<String> = services.chain(worst_share(words, report)).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// Gives the highest of all shares that grow until something stops working.
fn worst_share(words: &Words, report: &Report) -> Option<String> {
    let disks = report.disks.iter().map(|disk| ("worst-disk", disk.mount.as_str(), disk_percent(disk)));
    let inodes = report.disks.iter().filter_map(|disk| Some(("worst-inodes", disk.mount.as_str(), inode_percent(disk)?)));
    let memory = report.memory.iter().map(|memory| ("worst-memory", "", memory_percent(memory)));
    let (key, mount, share) = disks.chain(inodes).chain(memory).max_by(|one, other| one.2.total_cmp(&other.2))?;
    Some(words.with(key, &[("mount", safe(mount, width::MOUNT).into()), ("percent", percent(share).into())]))
}
