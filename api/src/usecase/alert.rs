//! Reports and silence are judged: what is too much for too long becomes an incident.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
};

use osm_protocol::messages::{Process, Report, Systemd};

use crate::{
    domain::{
        MINUTE, Millis, SECOND,
        alert::{Change, Rule, Sample, Watch, longest_gap},
        server::{disk_percent, inode_percent, load_per_cpu, memory_percent, swap_percent},
        silence::{Listener, Seen},
    },
    store::{
        self, Tx, commands, incidents,
        reports::Known,
        thresholds::{self, Thresholds},
        watches::{self, Row},
    },
    usecase::{
        Core,
        incident::{self, Firing},
    },
};

/// A report that is older than this when it comes is history, and judges nothing.
const FRESH: Millis = 5 * MINUTE;
/// A reboot that was asked for here excuses silence for this long: the agent's own limit is 10 minutes after it was due.
const REBOOTING: Millis = 15 * MINUTE;

/// Processes that an alert names.
const NAMED: usize = 3;

/// Whether a report tells of the present.
pub fn is_fresh(report: &Report, now: Millis) -> bool {
    report.at >= now - FRESH
}

/// What is remembered of some servers and set for their chats, while their reports are judged in one transaction.
pub struct Judge {
    watches: HashMap<String, Vec<Row>>,
    thresholds: Thresholds,
    changed: Vec<Row>,
}

impl Judge {
    pub async fn load(tx: &mut Tx, known: &[&Known]) -> store::Result<Self> {
        let ids: Vec<String> = known.iter().map(|known| known.id.clone()).collect();
        let chats: BTreeSet<i64> = known.iter().map(|known| known.chat_id).collect();
        let mut watches: HashMap<String, Vec<Row>> = HashMap::new();
        for row in watches::of(tx, &ids).await? {
            watches.entry(row.server_id.clone()).or_default().push(row);
        }
        let thresholds = thresholds::of_chats(tx, &chats.into_iter().collect::<Vec<_>>()).await?;
        Ok(Self { watches, thresholds, changed: Vec::new() })
    }

    /// Judges the newest report of a server, which is newer than all before.
    pub async fn report(&mut self, tx: &mut Tx, core: &Core, known: &Known, report: &Report, now: Millis) -> store::Result<()> {
        let mut rows = self.watches.remove(&known.id).unwrap_or_default();
        for (rule, subject, value) in figures(report) {
            let place = rows.iter().position(|row| row.rule == rule && row.subject == subject);
            let limits = self.thresholds.of(known.chat_id, &known.id, rule);
            // Nearly all figures are well, and nothing is remembered of them.
            if place.is_none() && !(limits.enabled && value >= limits.limit) {
                continue;
            }
            let mut row = place.map_or_else(
                || Row { server_id: known.id.clone(), rule, subject: subject.to_owned(), watch: Watch::default() },
                |place| rows.swap_remove(place),
            );
            let since = row.watch.above_since;
            let sample = Sample { at: report.at, value, longest_gap: longest_gap(report.interval_s) };
            match row.watch.judge(rule, &limits, sample) {
                Some(Change::Fired) => {
                    let firing = Firing {
                        chat_id: known.chat_id,
                        server_id: &known.id,
                        rule,
                        subject,
                        limits,
                        value,
                        since: since.unwrap_or(report.at),
                        processes: processes(rule, report),
                    };
                    incident::fire(tx, core, firing, now).await?;
                }
                Some(Change::Cleared) => incident::clear(tx, core, &known.id, rule, subject, now).await?,
                None => {}
            }
            self.changed.push(row);
        }
        self.absent(tx, core, report, rows, now).await?;
        self.reboot(tx, core, known, report, now).await
    }

    /// What this report does not mention: the server is online again; a unit or a disk that is gone is no trouble any more; of
    /// what could not be read nothing is assumed.
    async fn absent(&mut self, tx: &mut Tx, core: &Core, report: &Report, rows: Vec<Row>, now: Millis) -> store::Result<()> {
        for mut row in rows {
            let is_gone = match row.rule {
                Rule::Offline => true,
                Rule::Service => report.systemd == Systemd::Available,
                Rule::Disk | Rule::Inodes => !report.disks.is_empty(),
                Rule::Swap => report.memory.is_some(),
                _ => false,
            };
            if is_gone {
                if row.watch.firing {
                    incident::clear(tx, core, &row.server_id, row.rule, &row.subject, now).await?;
                }
                row.watch = Watch::default();
                self.changed.push(row);
            }
        }
        Ok(())
    }

    /// A new boot that nobody in the chat asked for.
    async fn reboot(&self, tx: &mut Tx, core: &Core, known: &Known, report: &Report, now: Millis) -> store::Result<()> {
        let limits = self.thresholds.of(known.chat_id, &known.id, Rule::Reboot);
        let is_new = known.boot.as_ref().is_some_and(|boot| *boot != report.boot);
        // A boot id that comes back is no reboot: two hosts report in turn.
        let is_back = known.previous_boot.as_deref() == Some(&report.boot);
        if !is_new || is_back || !limits.enabled || commands::is_reboot_asked(tx, &known.id, now - REBOOTING).await? {
            return Ok(());
        }
        let uptime = i64::try_from(report.host.uptime_s).unwrap_or(0) * SECOND;
        let firing = Firing {
            chat_id: known.chat_id,
            server_id: &known.id,
            rule: Rule::Reboot,
            subject: "",
            limits,
            value: 1.0,
            since: report.at - uptime,
            processes: Vec::new(),
        };
        incident::fire(tx, core, firing, now).await
    }

    /// Writes what is to be remembered.
    pub async fn remember(self, tx: &mut Tx) -> store::Result<()> {
        watches::put(tx, &self.changed).await
    }
}

/// Everything in a report that has a limit: rule, mount point or unit, figure.
fn figures(report: &Report) -> Vec<(Rule, &str, f64)> {
    let mut figures = Vec::with_capacity(6 + 2 * report.disks.len() + report.services.len());
    figures.extend(report.cpu.map(|cpu| (Rule::Cpu, "", cpu)));
    if let Some(memory) = &report.memory {
        figures.push((Rule::Memory, "", memory_percent(memory)));
        figures.extend(swap_percent(memory).map(|swap| (Rule::Swap, "", swap)));
    }
    figures.extend(load_per_cpu(report).map(|load| (Rule::Load, "", load)));
    for disk in &report.disks {
        figures.push((Rule::Disk, &disk.mount, disk_percent(disk)));
        figures.extend(inode_percent(disk).map(|inodes| (Rule::Inodes, disk.mount.as_str(), inodes)));
    }
    for service in &report.services {
        let is_failed = service.active_state == "failed";
        figures.push((Rule::Service, &service.unit, if is_failed { 1.0 } else { 0.0 }));
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds, for people")]
    figures.push((Rule::Clock, "", report.clock_ahead_ms.unsigned_abs() as f64 / 1000.0));
    figures
}

/// The highest figure of a report that a rule is about.
pub fn figure(rule: Rule, report: &Report) -> Option<f64> {
    let figures = figures(report).into_iter().filter(|(of, _, _)| *of == rule);
    figures.map(|(_, _, value)| value).max_by(f64::total_cmp)
}

/// The three biggest processes, for alerts that they explain. A host whose owner does not want it tells of none.
fn processes(rule: Rule, report: &Report) -> Vec<Process> {
    let mut processes = report.processes.clone();
    match rule {
        Rule::Cpu | Rule::Load => processes.sort_by(|a, b| b.cpu.total_cmp(&a.cpu)),
        Rule::Memory | Rule::Swap => processes.sort_by_key(|process| Reverse(process.memory)),
        _ => processes.clear(),
    }
    processes.truncate(NAMED);
    processes
}

/// One look at who is silent.
pub async fn listen(core: &Core, listener: &mut Listener) -> store::Result<()> {
    let now = core.clock.now();
    let mut tx = core.store.read().await?;
    let heard = watches::heard(&mut tx, now - REBOOTING).await?;
    let thresholds = thresholds::of_rule(&mut tx, Rule::Offline).await?;
    drop(tx);
    let limits = |heard: &watches::Heard| thresholds.of(heard.chat_id, &heard.server_id, Rule::Offline);
    let servers: Vec<Seen> = heard
        .iter()
        .map(|heard| {
            let (limits, interval) = (limits(heard), heard.interval_s * SECOND);
            #[expect(clippy::cast_possible_truncation, reason = "at most 60 intervals")]
            let grace = interval * limits.limit as i64;
            Seen {
                server_id: heard.server_id.clone(),
                chat_id: heard.chat_id,
                received_at: heard.received_at,
                interval,
                grace,
                excused: heard.is_offline || heard.is_rebooting || !limits.enabled,
            }
        })
        .collect();
    let silent = listener.look(core.clock.steady(), &servers);
    if silent.is_empty() {
        return Ok(());
    }
    let mut tx = core.store.begin().await?;
    let mut rows = Vec::new();
    for heard in silent.into_iter().map(|place| &heard[place]) {
        // It may have reported, or gone, since the look.
        if !watches::is_still(&mut tx, heard).await? {
            continue;
        }
        let firing = Firing {
            chat_id: heard.chat_id,
            server_id: &heard.server_id,
            rule: Rule::Offline,
            subject: "",
            limits: limits(heard),
            value: limits(heard).limit,
            since: heard.received_at,
            processes: Vec::new(),
        };
        incident::fire(&mut tx, core, firing, now).await?;
        let watch = Watch { at: now, firing: true, ..Watch::default() };
        rows.push(Row { server_id: heard.server_id.clone(), rule: Rule::Offline, subject: String::new(), watch });
    }
    watches::put(&mut tx, &rows).await?;
    tx.commit("offline").await
}

/// Its host was paired anew: what was known of it is no longer so.
pub async fn forget(tx: &mut Tx, core: &Core, server_id: &str, now: Millis) -> store::Result<()> {
    watches::forget(tx, server_id).await?;
    incident::end_all(tx, core, server_id, now).await?;
    incidents::forget(tx, server_id).await
}
