//! Reports are judged: what is too much for too long becomes an incident.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use osm_protocol::messages::{Process, Report, Systemd};

use crate::{
    domain::{
        MINUTE, Millis, SECOND,
        alert::{Change, Rule, Sample, Watch, longest_gap},
        figures::figures,
        ids::{ChatId, ServerId},
        incident::Firing,
    },
    store::{
        self,
        commands::{self, Asked},
        reports::Known,
        thresholds::{self, Thresholds},
        watches::{self, Row},
    },
    usecase::{alert::incident, work::Work},
};

/// A report that is older than this when it comes is history, and judges nothing.
const FRESH: Millis = 5 * MINUTE;
/// A reboot that was asked for here excuses silence for this long: the agent's own limit is 10 minutes after it was due.
pub const REBOOTING: Millis = 15 * MINUTE;
/// A disk that reports leave out for this long is gone.
const GONE: Millis = 5 * MINUTE;
/// Processes that an alert names.
const NAMED: usize = 3;

/// Tells whether a report tells of the present.
pub fn is_fresh(report: &Report, now: Millis) -> bool {
    report.at >= now - FRESH
}

/// What is remembered of some servers and set for their chats, while their reports are judged in one transaction.
pub struct Judge {
    watches: HashMap<ServerId, Vec<Row>>,
    thresholds: Thresholds,
    changed: Vec<Row>,
}

impl Judge {
    pub async fn load(work: &mut Work<'_>, known: &[&Known]) -> store::Result<Self> {
        let ids: Vec<ServerId> = known.iter().map(|known| known.id).collect();
        let chats: BTreeSet<ChatId> = known.iter().map(|known| known.chat_id).collect();
        let mut watches: HashMap<ServerId, Vec<Row>> = HashMap::new();
        for row in watches::of(&mut work.tx, &ids).await? {
            watches.entry(row.server_id).or_default().push(row);
        }
        let thresholds = thresholds::of_chats(&mut work.tx, &chats.into_iter().collect::<Vec<_>>()).await?;
        Ok(Self { watches, thresholds, changed: Vec::new() })
    }

    /// Judges the newest report of a server.
    pub async fn report(&mut self, work: &mut Work<'_>, known: &Known, report: &Report, clock: Clock) -> store::Result<()> {
        let mut rows = self.watches.remove(&known.id).unwrap_or_default();
        if clock == Clock::SetBack {
            for row in &mut rows {
                row.watch = row.watch.on_another_clock();
            }
        }
        for (rule, subject, value) in figures(report) {
            let place = rows.iter().position(|row| row.rule == rule && row.subject == subject);
            let limits = self.thresholds.of(known.chat_id, Some(known.id), rule);
            // Nearly all figures are well, and nothing is remembered of them.
            if place.is_none() && !(limits.enabled && value >= limits.limit) {
                continue;
            }
            let mut row = place.map_or_else(
                || Row { server_id: known.id, rule, subject: subject.to_owned(), watch: Watch::default() },
                |place| rows.swap_remove(place),
            );
            let since = row.watch.above_since.unwrap_or(report.at);
            let sample = Sample { at: report.at, value, longest_gap: longest_gap(report.interval_s) };
            match row.watch.judge(rule, &limits, sample) {
                Some(Change::Fired) => {
                    let firing = Firing { rule, subject, limits, value, since, ..firing(known) };
                    incident::fire(work, Firing { processes: processes(rule, report), ..firing }).await?;
                }
                Some(Change::Cleared) => incident::clear(work, known.id, rule, subject).await?,
                None => {}
            }
            self.changed.push(row);
        }
        self.absent(work, report, rows).await?;
        self.reboot(work, known, report).await
    }

    /// Ends what this report does not mention: the server is online again; a unit or a disk that is gone is no trouble any more;
    /// of what could not be read nothing is assumed.
    async fn absent(&mut self, work: &mut Work<'_>, report: &Report, rows: Vec<Row>) -> store::Result<()> {
        for mut row in rows {
            let is_gone = match row.rule {
                // The server reports; the disk answers, or is not there any more.
                Rule::Offline | Rule::NoAnswer => true,
                Rule::Service | Rule::NotReady | Rule::Down | Rule::Unit => report.systemd == Systemd::Available,
                // An agent that has begun anew does not know for a while, and leaves the figure out, not the service.
                Rule::Restarts => {
                    report.systemd == Systemd::Available && !report.services.iter().any(|service| service.unit == row.subject)
                }
                Rule::Disk | Rule::Inodes | Rule::ReadOnly => {
                    let is_silent = report.unread_disks.iter().any(|disk| disk.mount == row.subject);
                    !is_silent && report.at - row.watch.at > GONE
                }
                Rule::Swap => report.memory.is_some(),
                Rule::Cpu | Rule::Memory | Rule::Load | Rule::Reboot | Rule::Clock | Rule::Commands => false,
            };
            if is_gone {
                if row.watch.firing {
                    incident::clear(work, row.server_id, row.rule, &row.subject).await?;
                }
                row.watch = Watch::default();
                self.changed.push(row);
            }
        }
        Ok(())
    }

    /// Fires where there is a new boot that nobody in the chat asked for.
    async fn reboot(&self, work: &mut Work<'_>, known: &Known, report: &Report) -> store::Result<()> {
        let limits = self.thresholds.of(known.chat_id, Some(known.id), Rule::Reboot);
        let is_new = known.boot.as_ref().is_some_and(|boot| *boot != report.boot);
        // A boot id that comes back is no reboot: two hosts report in turn.
        let is_back = known.previous_boot.as_deref() == Some(&report.boot);
        if !is_new || is_back || !limits.enabled {
            return Ok(());
        }
        // In a container the uptime is the host's: it began, at the earliest, after the last report of the boot before.
        let uptime = i64::try_from(report.host.uptime_s).unwrap_or(0) * SECOND;
        let since = (report.at - uptime).max(known.at.unwrap_or_default());
        let asked = commands::asked(&mut work.tx, known.id, since - REBOOTING).await?;
        if asked.iter().any(Asked::is_taken_up_reboot) {
            return Ok(());
        }
        incident::fire(work, Firing { rule: Rule::Reboot, limits, since, ..firing(known) }).await
    }

    /// Writes what is to be remembered.
    pub async fn finish(self, work: &mut Work<'_>) -> store::Result<()> {
        watches::put(&mut work.tx, &self.changed).await
    }
}

/// How the backend's clock stands to what is remembered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    Steady,
    /// What is remembered is of a clock that was set back since.
    SetBack,
}

/// Gives what fires of this server, but for what and how much.
fn firing(known: &Known) -> Firing<'_> {
    Firing {
        chat_id: known.chat_id,
        server_id: known.id,
        server_name: &known.name,
        rule: Rule::Reboot,
        subject: "",
        limits: Rule::Reboot.default_limits(),
        value: 1.0,
        since: 0,
        processes: Vec::new(),
    }
}

/// Gives the three biggest processes, for alerts that they explain. A host whose owner does not want it tells of none.
fn processes(rule: Rule, report: &Report) -> Vec<Process> {
    let mut processes = report.processes.clone();
    match rule {
        Rule::Cpu | Rule::Load => processes.sort_by(|a, b| b.cpu.total_cmp(&a.cpu)),
        Rule::Memory | Rule::Swap => processes.sort_by_key(|process| Reverse(process.memory)),
        Rule::Disk
        | Rule::Inodes
        | Rule::ReadOnly
        | Rule::NoAnswer
        | Rule::Service
        | Rule::Restarts
        | Rule::NotReady
        | Rule::Down
        | Rule::Unit
        | Rule::Offline
        | Rule::Reboot
        | Rule::Clock
        | Rule::Commands => processes.clear(),
    }
    processes.truncate(NAMED);
    processes
}

/// Forgets what was known of a server whose host was paired anew: it is no longer so.
pub async fn forget(work: &mut Work<'_>, server_id: ServerId) -> store::Result<()> {
    watches::forget(&mut work.tx, server_id).await?;
    incident::end_all(work, server_id).await
}
