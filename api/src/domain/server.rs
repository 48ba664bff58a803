//! A server as its chat knows it.

use osm_protocol::{
    action::Chore,
    messages::{Disk, Memory, Report, Service},
};

use crate::domain::{Millis, ids::ServerId};

/// Servers a chat may have.
pub const PER_CHAT: i64 = 200;
/// journald.conf(5), persistent storage.
const LOGS: &str = "/var/log/journal";
/// A report this many intervals late makes a server stale.
const MISSED_INTERVALS: i64 = 3;

#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    pub id: ServerId,
    pub name: String,
    /// As the host said at pairing; reports bring it up to date.
    pub os: String,
    /// The address it was paired from.
    pub paired_from: String,
    pub paired_at: Millis,
    /// When its host was paired anew in another chat, if it was: nobody reports for it any more, and its history stays.
    pub unpaired_at: Option<Millis>,
    /// Fingerprint of the agent's key, for a person to compare.
    pub fingerprint: String,
    /// Commands are suspended since two hosts report as this one.
    pub suspended: bool,
    pub open_alerts: i64,
    /// Absent until the first report.
    pub latest: Option<Latest>,
}

/// The newest report of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Latest {
    pub report: Report,
    pub received_at: Millis,
    /// The address it came from.
    pub address: String,
    pub agent_version: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// Paired, and nothing heard yet.
    Waiting,
    Online,
    /// Nothing heard for more than three intervals.
    Stale {
        since: Millis,
    },
    /// Its host was paired anew in another chat.
    Unpaired {
        since: Millis,
    },
}

impl Server {
    pub fn presence(&self, now: Millis) -> Presence {
        if let Some(since) = self.unpaired_at {
            return Presence::Unpaired { since };
        }
        let Some(latest) = &self.latest else { return Presence::Waiting };
        let grace = MISSED_INTERVALS * i64::from(latest.report.interval_s) * 1000;
        if now - latest.received_at > grace { Presence::Stale { since: latest.received_at } } else { Presence::Online }
    }

    /// Gives the unit behind a button's tag, if it may be restarted.
    pub fn restartable(&self, tag: &str) -> Option<&Service> {
        let services = &self.latest.as_ref()?.report.services;
        services.iter().find(|service| service.restartable && unit_tag(&service.unit) == tag)
    }

    /// Tells whether the journal lies on the disk that is mounted there.
    pub fn keeps_logs_on(&self, mount: &str) -> bool {
        let holds =
            |mount: &str| mount == "/" || LOGS.strip_prefix(mount).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let mounts = self.latest.iter().flat_map(|latest| &latest.report.disks).map(|disk| disk.mount.as_str());
        mounts.filter(|mount| holds(mount)).max_by_key(|mount| mount.len()) == Some(mount)
    }

    /// Tells whether the host lets the chat ask for this.
    pub fn offers(&self, chore: Chore) -> bool {
        self.latest.as_ref().is_some_and(|latest| latest.report.chores.contains(&chore))
    }
}

/// How a unit is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Condition {
    Failed,
    /// It has not failed, and is not well either: never plainly green.
    InTrouble,
    /// On the way from one to another.
    Changing,
    Running,
    Stopped,
}

pub fn condition(service: &Service) -> Condition {
    match service.active_state.as_str() {
        "failed" => Condition::Failed,
        _ if service.trouble.is_some() => Condition::InTrouble,
        "inactive" => Condition::Stopped,
        _ if service.restarts.is_some_and(|restarts| restarts > 0) => Condition::InTrouble,
        "active" => Condition::Running,
        _ => Condition::Changing,
    }
}

/// Gives a short name for a unit that fits in a button: FNV-1a, 64 bits, hexadecimal. It only finds the unit again in the
/// server's own list; the agent judges the full name.
pub fn unit_tag(unit: &str) -> String {
    let hash = unit.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

/// Percent used of what users may use, as df(1) counts it.
pub fn disk_percent(disk: &Disk) -> f64 {
    percent(disk.used, disk.used + disk.available)
}

pub fn inode_percent(disk: &Disk) -> Option<f64> {
    (disk.inodes_total > 0).then(|| percent(disk.inodes_total - disk.inodes_free, disk.inodes_total))
}

pub fn memory_percent(memory: &Memory) -> f64 {
    percent(memory.total - memory.available, memory.total)
}

pub fn swap_percent(memory: &Memory) -> Option<f64> {
    (memory.swap_total > 0).then(|| percent(memory.swap_total - memory.swap_free, memory.swap_total))
}

/// Over five minutes: what `uptime` shows in the middle, on one CPU.
pub fn load_per_cpu(report: &Report) -> Option<f64> {
    report.load.map(|load| load.five / f64::from(report.host.cpus.max(1)))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}
