//! Bodies of the agent's requests and their answers. `validate` is the contract's outer edge: what it lets through
//! may be stored and shown.

use std::{fmt, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use crate::{
    action::{Chore, Outcome},
    envelope::Envelope,
    ids::ServerId,
};

#[cfg(feature = "server")]
use poem_openapi::{Enum, Object};

/// Limits on what an agent sends. A report over one of them is refused whole: a truncated report would lie.
pub mod limits {
    pub const BODY: usize = 1024 * 1024;
    /// A pairing's body: it is read before anybody is known.
    pub const PAIR_BODY: usize = 32 * 1024;
    pub const REPORTS: usize = 128;
    pub const DISKS: usize = 128;
    /// Those without figures.
    pub const UNREAD_DISKS: usize = 32;
    pub const SERVICES: usize = 512;
    /// Three by CPU and three by memory.
    pub const PROCESSES: usize = 6;
    /// Hostname, mount point, unit: the longest that Linux itself allows for a unit name or a path component.
    pub const NAME: usize = 255;
    pub const TEXT: usize = 1024;
    /// The largest size or number of inodes: 2^60.
    pub const BYTES: u64 = 1 << 60;
    /// How old a spooled report may be.
    pub const BACKLOG_MS: i64 = 26 * 3_600_000;
    /// How far ahead of the backend's clock a corrected sample may lie.
    pub const AHEAD_MS: i64 = 120_000;
}

/// Body of `POST /agent/v1/pair`, signed with the new key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct PairRequest {
    /// The token from the chat.
    pub token: String,
    /// The agent's new Ed25519 public key, base64url without padding.
    pub agent_key: String,
    /// App-specific hash of the machine id (hexadecimal, 64 characters): tells a clone from its original.
    pub machine: String,
    pub agent_version: String,
    pub host: Host,
    /// When this host was paired before: a `replace.v1` document signed with the old key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub replaces: Option<Envelope>,
}

impl fmt::Debug for PairRequest {
    /// Without the token: whoever has it can pair.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PairRequest")
            .field("agent_key", &self.agent_key)
            .field("agent_version", &self.agent_version)
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
pub struct PairResponse {
    pub server_id: ServerId,
    /// The name the server has in the chat.
    pub name: String,
    /// The key set, signed with the root key that the token pins.
    pub key_set: Envelope,
    /// `pairing.v1`, signed with a command key: binds the server to the agent's key and the token.
    pub pairing: Envelope,
}

/// Body of `POST /agent/v1/reports`: the live report, or backlog, newest first. What is older than the newest report stored is
/// history: it is kept, and never shown or judged as the present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct ReportBatch {
    pub agent_version: String,
    pub reports: Vec<Report>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// When it was measured, corrected to the backend's clock; milliseconds since the Unix epoch. Names the report: the same
    /// time from the same server is the same report.
    pub at: i64,
    /// Seconds until the next one, 5 to 3600.
    pub interval_s: u32,
    /// App-specific hash of the boot id (hexadecimal, 64 characters).
    pub boot: String,
    /// How far the host's clock is ahead of the backend's, as last measured; milliseconds.
    pub clock_ahead_ms: i64,
    pub host: Host,
    /// Busy share of all CPUs since the report before, percent, 0 to 100. Absent where it cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub cpu: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub memory: Option<Memory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub load: Option<Load>,
    pub disks: Vec<Disk>,
    /// Disks that are there and of which nothing could be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "server", oai(default, skip_serializing_if_is_empty))]
    pub unread_disks: Vec<UnreadDisk>,
    /// How many more disks there are than fit here.
    #[serde(default, skip_serializing_if = "is_zero")]
    #[cfg_attr(feature = "server", oai(default, skip_serializing_if = "is_zero"))]
    pub disks_left_out: u32,
    pub systemd: Systemd,
    pub services: Vec<Service>,
    /// What this host lets the chat ask for, each once.
    #[serde(default)]
    #[cfg_attr(feature = "server", oai(default))]
    pub chores: Vec<Chore>,
    /// Why this host lets nothing be asked for at all, where that is so; at most 255 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub monitored_only: Option<String>,
    /// Why commands do not reach this host, where it could ask for none for two minutes; at most 255 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub commands_unreachable: Option<String>,
    /// The biggest processes, by CPU and by memory; empty unless the host's owner turned it on in agent.toml. Kept only with an
    /// alert that they explain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "server", oai(default, skip_serializing_if_is_empty))]
    pub processes: Vec<Process>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct Host {
    pub hostname: String,
    /// `PRETTY_NAME` of os-release(5).
    pub os: String,
    pub kernel: String,
    /// As `uname -m` says it.
    pub arch: String,
    /// Logical CPUs.
    pub cpus: u32,
    /// Seconds since boot.
    pub uptime_s: u64,
}

/// Bytes, as in /proc/meminfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct Memory {
    pub total: u64,
    pub available: u64,
    pub swap_total: u64,
    pub swap_free: u64,
}

/// Load averages over 1, 5 and 15 minutes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct Load {
    pub one: f64,
    pub five: f64,
    pub fifteen: f64,
}

/// A mounted filesystem. Sizes in bytes; `used` share is `used / (used + available)`, as df(1) counts it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct Disk {
    pub mount: String,
    pub fs_type: String,
    pub total: u64,
    pub used: u64,
    /// Free to unprivileged users.
    pub available: u64,
    /// 0 where the filesystem has no fixed number of inodes.
    pub inodes_total: u64,
    pub inodes_free: u64,
    /// Read-only by the superblock (a filesystem that failed), not by this process's own sandbox.
    pub read_only: bool,
    /// It was to be written to, and is read-only by now.
    #[serde(default, skip_serializing_if = "is_false")]
    #[cfg_attr(feature = "server", oai(default, skip_serializing_if = "is_false"))]
    pub went_read_only: bool,
}

/// A mounted filesystem without figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct UnreadDisk {
    pub mount: String,
    pub fs_type: String,
    pub why: Unread,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Enum), oai(rename_all = "kebab-case"))]
#[serde(rename_all = "kebab-case")]
pub enum Unread {
    /// It was asked, and does not answer.
    NoAnswer,
    /// The agent's user may not look there.
    Forbidden,
}

/// Whether services can be seen on this host at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Enum), oai(rename_all = "kebab-case"))]
#[serde(rename_all = "kebab-case")]
pub enum Systemd {
    /// Services are listed below.
    Available,
    /// systemd is not the init of this machine.
    Absent,
    /// systemd is there, the system bus does not answer.
    Unreachable,
}

/// A service, or a failed unit of another kind: mount, automount, swap, socket, timer, path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The unit's primary name, as `nginx.service` or `mnt-data.mount`.
    pub unit: String,
    /// `ActiveState` of systemd: active, reloading, inactive, failed, activating, deactivating, …
    pub active_state: String,
    /// `SubState`: running, exited, dead, auto-restart, …
    pub sub_state: String,
    /// `Result` of the last run when it failed: exit-code, signal, oom-kill, timeout, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub result: Option<String>,
    /// Exit status or number of the signal of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub status: Option<u8>,
    /// How often systemd has restarted it by itself since it last ran for ten minutes on end. Absent: the agent has not watched
    /// it for so long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub restarts: Option<u32>,
    /// Seconds since the last of these was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub restarted_ago_s: Option<u32>,
    /// What else is wrong with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub trouble: Option<Trouble>,
    /// A failed unit that it requires, and that keeps it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub waits_for: Option<String>,
    /// On the host's own list, and allowed by its policy: a restart may be asked for.
    pub restartable: bool,
}

/// What is wrong with a service that has not failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Enum), oai(rename_all = "kebab-case"))]
#[serde(rename_all = "kebab-case")]
pub enum Trouble {
    /// It is starting, reloading or waiting for its next start, and no oneshot: one that goes on so is not ready.
    NotReady,
    /// Enabled, asked for at boot, and not running: what it requires failed, or its start never came about.
    Down,
}

/// A running program by its name alone: arguments may hold secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// As the kernel has it (its `comm`, proc(5)).
    pub name: String,
    /// Percent of one CPU since the report before; more than 100 on several.
    pub cpu: f64,
    /// Resident, in bytes.
    pub memory: u64,
}

/// Answer to a batch of reports: it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
pub struct Receipt {
    /// The backend's clock, milliseconds since the Unix epoch.
    pub now: i64,
    /// When higher than the one held: `GET /agent/v1/keys`.
    pub key_set_version: i64,
    /// The request's nonce: tells this answer from whatever else comes back on the way.
    pub nonce: String,
}

/// Answer to an outcome and to an unpairing: it is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
pub struct Acknowledgement {
    /// The request's nonce.
    pub nonce: String,
}

/// Answer to `GET /agent/v1/commands`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
pub struct Commands {
    /// In order of their `seq`.
    pub commands: Vec<Envelope>,
}

/// An error, RFC 9457 (`application/problem+json`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
pub struct Problem {
    /// One of [`problem`]'s URNs, or `about:blank`.
    #[serde(rename = "type")]
    #[cfg_attr(feature = "server", oai(rename = "type"))]
    pub kind: String,
    pub title: String,
    pub status: u16,
    /// What was wrong here, and what to do.
    #[serde(default)]
    pub detail: String,
    /// The backend's clock in milliseconds; with `clock-skew` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub now: Option<i64>,
    /// The nonce of the request that this answers; absent where the request had none that could be read. An agent acts upon a
    /// problem only with its own nonce in it: proxies, portals and firewalls answer with any status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub nonce: Option<String>,
    /// The proof; with `removed` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub removal: Option<Removal>,
}

impl Problem {
    /// What all of [`problem`]'s types begin with.
    pub const TYPES: &str = "urn:online-server-monitor:problem:";
}

/// Proves that a server was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(Object))]
pub struct Removal {
    /// The current key set: who was removed can no longer ask for it.
    pub key_set: Envelope,
    /// `removed.v1`, signed with a command key: names the agent's key and the time.
    pub removed: Envelope,
}

/// The types of problems.
pub mod problem {
    pub const MALFORMED: &str = "urn:online-server-monitor:problem:malformed";
    pub const SIGNATURE: &str = "urn:online-server-monitor:problem:signature";
    pub const CLOCK_SKEW: &str = "urn:online-server-monitor:problem:clock-skew";
    pub const TOKEN: &str = "urn:online-server-monitor:problem:token";
    pub const FORBIDDEN: &str = "urn:online-server-monitor:problem:forbidden";
    pub const NOT_FOUND: &str = "urn:online-server-monitor:problem:not-found";
    pub const TOO_SLOW: &str = "urn:online-server-monitor:problem:too-slow";
    pub const REMOVED: &str = "urn:online-server-monitor:problem:removed";
    pub const TOO_LARGE: &str = "urn:online-server-monitor:problem:too-large";
    pub const INVALID: &str = "urn:online-server-monitor:problem:invalid";
    pub const TOO_MANY: &str = "urn:online-server-monitor:problem:too-many";
    pub const INTERNAL: &str = "urn:online-server-monitor:problem:internal";
    pub const BUSY: &str = "urn:online-server-monitor:problem:busy";
}

/// What is wrong with a message; names the field.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{field}: {problem}")]
pub struct Invalid {
    pub field: String,
    pub problem: String,
}

/// The outer edge of a body: what it lets through may be stored and shown.
pub trait Validate {
    /// Checks every limit; `now` is the backend's clock, in milliseconds since the Unix epoch.
    fn validate(&self, now: i64) -> Result<(), Invalid>;
}

impl Validate for PairRequest {
    fn validate(&self, _now: i64) -> Result<(), Invalid> {
        text("agent_version", &self.agent_version, 1, 64)?;
        hash("machine", &self.machine)?;
        self.host.validate()
    }
}

impl Validate for Outcome {
    fn validate(&self, _now: i64) -> Result<(), Invalid> {
        if self.detail.chars().count() > Self::DETAIL_MAX || self.detail.chars().any(char::is_control) {
            return Err(invalid("detail", "at most 500 characters, and no control characters"));
        }
        Ok(())
    }
}

impl Validate for ReportBatch {
    fn validate(&self, now: i64) -> Result<(), Invalid> {
        text("agent_version", &self.agent_version, 1, 64)?;
        count("reports", self.reports.len(), 1..=limits::REPORTS)?;
        for (index, report) in self.reports.iter().enumerate() {
            report
                .validate(now)
                .map_err(|invalid| Invalid { field: format!("reports[{index}].{}", invalid.field), ..invalid })?;
        }
        Ok(())
    }
}

impl Report {
    pub fn validate(&self, now: i64) -> Result<(), Invalid> {
        if !(now - limits::BACKLOG_MS..=now + limits::AHEAD_MS).contains(&self.at) {
            return Err(invalid("at", format!("{} is not within the last 26 hours of the backend's clock {now}", self.at)));
        }
        if !(5..=3600).contains(&self.interval_s) {
            return Err(invalid("interval_s", "must be 5 to 3600"));
        }
        hash("boot", &self.boot)?;
        self.host.validate()?;
        if let Some(cpu) = self.cpu {
            number("cpu", cpu, 0.0..=100.0)?;
        }
        if let Some(memory) = &self.memory
            && (memory.total > limits::BYTES
                || memory.swap_total > limits::BYTES
                || memory.available > memory.total
                || memory.swap_free > memory.swap_total)
        {
            return Err(invalid("memory", "more is free than there is, or more than 2^60 bytes"));
        }
        if let Some(load) = &self.load {
            for value in [load.one, load.five, load.fifteen] {
                number("load", value, 0.0..=1_000_000.0)?;
            }
        }
        count("disks", self.disks.len(), 0..=limits::DISKS)?;
        for disk in &self.disks {
            disk.validate()?;
        }
        count("unread_disks", self.unread_disks.len(), 0..=limits::UNREAD_DISKS)?;
        for disk in &self.unread_disks {
            text("unread_disks.mount", &disk.mount, 1, limits::TEXT)?;
            text("unread_disks.fs_type", &disk.fs_type, 1, 64)?;
        }
        count("chores", self.chores.len(), 0..=Chore::ALL.len())?;
        text("monitored_only", self.monitored_only.as_deref().unwrap_or_default(), 0, limits::NAME)?;
        text("commands_unreachable", self.commands_unreachable.as_deref().unwrap_or_default(), 0, limits::NAME)?;
        count("services", self.services.len(), 0..=limits::SERVICES)?;
        for service in &self.services {
            text("services.unit", &service.unit, 1, limits::NAME)?;
            text("services.active_state", &service.active_state, 1, 32)?;
            text("services.sub_state", &service.sub_state, 0, 32)?;
            text("services.result", service.result.as_deref().unwrap_or_default(), 0, 64)?;
            text("services.waits_for", service.waits_for.as_deref().unwrap_or_default(), 0, limits::NAME)?;
        }
        count("processes", self.processes.len(), 0..=limits::PROCESSES)?;
        for process in &self.processes {
            text("processes.name", &process.name, 1, limits::NAME)?;
            number("processes.cpu", process.cpu, 0.0..=1_000_000.0)?;
            if process.memory > limits::BYTES {
                return Err(invalid("processes.memory", "more than 2^60 bytes"));
            }
        }
        Ok(())
    }
}

impl Host {
    pub fn validate(&self) -> Result<(), Invalid> {
        text("host.hostname", &self.hostname, 1, limits::NAME)?;
        text("host.os", &self.os, 0, limits::NAME)?;
        text("host.kernel", &self.kernel, 0, limits::NAME)?;
        text("host.arch", &self.arch, 0, 64)?;
        // A hundred years: beyond any machine, well within i64 milliseconds.
        if self.uptime_s > 100 * 366 * 86_400 {
            return Err(invalid("host.uptime_s", "longer than a hundred years"));
        }
        Ok(())
    }
}

impl Disk {
    fn validate(&self) -> Result<(), Invalid> {
        text("disks.mount", &self.mount, 1, limits::TEXT)?;
        text("disks.fs_type", &self.fs_type, 1, 64)?;
        // Sums of these stay within i64.
        if self.total > limits::BYTES || self.inodes_total > limits::BYTES {
            return Err(invalid("disks", format!("{}: larger than any filesystem", self.mount)));
        }
        if self.used > self.total || self.available > self.total || self.inodes_free > self.inodes_total {
            return Err(invalid("disks", format!("{}: more is used or free than there is", self.mount)));
        }
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Checks a text: its length in bytes, and that it has no control characters.
pub(crate) fn text(field: &str, value: &str, min: usize, max: usize) -> Result<(), Invalid> {
    let length = value.len();
    if length < min || length > max {
        return Err(invalid(field, format!("{length} bytes; {min} to {max} are allowed")));
    }
    if value.chars().any(char::is_control) {
        return Err(invalid(field, "holds control characters"));
    }
    Ok(())
}

fn hash(field: &str, value: &str) -> Result<(), Invalid> {
    if value.len() == 64 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        Ok(())
    } else {
        Err(invalid(field, "must be 64 lower-case hexadecimal digits"))
    }
}

fn number(field: &str, value: f64, range: RangeInclusive<f64>) -> Result<(), Invalid> {
    // NaN is in no range.
    if range.contains(&value) { Ok(()) } else { Err(invalid(field, format!("must be {} to {}", range.start(), range.end()))) }
}

fn count(field: &str, value: usize, range: RangeInclusive<usize>) -> Result<(), Invalid> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(invalid(field, format!("{value} entries; {} to {} are allowed", range.start(), range.end())))
    }
}

fn invalid(field: &str, problem: impl Into<String>) -> Invalid {
    Invalid { field: field.to_owned(), problem: problem.into() }
}

#[cfg(test)]
#[path = "messages_tests.rs"]
mod tests;
