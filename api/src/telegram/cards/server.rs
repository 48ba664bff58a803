//! A server's state in a word, and its worst figure.

use osm_protocol::messages::{Report, Service};

use super::{
    figures::{Words, percent},
    markup::{safe, width},
};
use crate::domain::server::{Presence, Server, disk_percent, inode_percent, memory_percent};

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
    match service.active_state.as_str() {
        "failed" => "🔴",
        "active" => "🟢",
        "inactive" => "⚪",
        // On the way from one to another.
        _ => "🟡",
    }
}

/// Gives what is worst on a server: "1 service failed · disk / 91 %".
pub(super) fn worst(words: &Words, report: &Report) -> Option<String> {
    let failed = report.services.iter().filter(|service| service.active_state == "failed").count();
    let failed = (failed > 0).then(|| words.with("worst-services", &[("count", failed.into())]));
    let parts: Vec<String> = failed.into_iter().chain(worst_share(words, report)).collect();
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
