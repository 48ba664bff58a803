//! Reports and silence are judged: what is too much for too long becomes an incident.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap, hash_map::Entry},
};

use osm_protocol::messages::{Process, Report, Systemd};

use crate::{
    domain::{
        MINUTE, Millis, SECOND,
        alert::{Change, Limits, Rule, Sample, Watch, longest_gap},
        incident::Firing,
        server::{disk_percent, inode_percent, load_per_cpu, memory_percent, swap_percent},
        silence::{Listener, SHORTEST_GRACE, Seen},
    },
    store::{
        self, Tx, commands, leases,
        reports::Known,
        servers,
        thresholds::{self, Thresholds},
        watches::{self, Heard, Row},
    },
    usecase::{Core, announce::Announcer, incident},
};

/// A report that is older than this when it comes is history, and judges nothing.
const FRESH: Millis = 5 * MINUTE;
/// A reboot that was asked for here excuses silence for this long: the agent's own limit is 10 minutes after it was due.
const REBOOTING: Millis = 15 * MINUTE;
/// A disk that reports leave out for this long is gone; for less it may only be slow to answer.
const GONE: Millis = 5 * MINUTE;
/// Processes that an alert names.
const NAMED: usize = 3;

/// Whether a report tells of the present.
pub fn is_fresh(report: &Report, now: Millis) -> bool {
    report.at >= now - FRESH
}

/// What is remembered of some servers and set for their chats, while their reports are judged in one transaction.
pub struct Judge<'a> {
    watches: HashMap<String, Vec<Row>>,
    thresholds: Thresholds,
    changed: Vec<Row>,
    told: Announcer<'a>,
}

impl<'a> Judge<'a> {
    pub async fn load(tx: &mut Tx, core: &'a Core, known: &[&Known], now: Millis) -> store::Result<Self> {
        let ids: Vec<String> = known.iter().map(|known| known.id.clone()).collect();
        let chats: BTreeSet<i64> = known.iter().map(|known| known.chat_id).collect();
        let mut watches: HashMap<String, Vec<Row>> = HashMap::new();
        for row in watches::of(tx, &ids).await? {
            watches.entry(row.server_id.clone()).or_default().push(row);
        }
        let thresholds = thresholds::of_chats(tx, &chats.into_iter().collect::<Vec<_>>()).await?;
        Ok(Self { watches, thresholds, changed: Vec::new(), told: Announcer::new(core, now) })
    }

    /// Judges the newest report of a server. `is_clock_back`: what is remembered is of a clock that was set back since.
    pub async fn report(&mut self, tx: &mut Tx, known: &Known, report: &Report, is_clock_back: bool) -> store::Result<()> {
        let mut rows = self.watches.remove(&known.id).unwrap_or_default();
        if is_clock_back {
            for row in &mut rows {
                row.watch = row.watch.on_another_clock();
            }
        }
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
            let since = row.watch.above_since.unwrap_or(report.at);
            let sample = Sample { at: report.at, value, longest_gap: longest_gap(report.interval_s) };
            match row.watch.judge(rule, &limits, sample) {
                Some(Change::Fired) => {
                    let processes = processes(rule, report);
                    let firing = firing(known, rule, subject, limits, value, since);
                    incident::fire(tx, &mut self.told, Firing { processes, ..firing }).await?;
                }
                Some(Change::Cleared) => incident::clear(tx, &mut self.told, &known.id, rule, subject).await?,
                None => {}
            }
            self.changed.push(row);
        }
        self.absent(tx, report, rows).await?;
        self.reboot(tx, known, report).await
    }

    /// What this report does not mention: the server is online again; a unit or a disk that is gone is no trouble any more; of
    /// what could not be read nothing is assumed.
    async fn absent(&mut self, tx: &mut Tx, report: &Report, rows: Vec<Row>) -> store::Result<()> {
        for mut row in rows {
            let is_gone = match row.rule {
                Rule::Offline => true,
                Rule::Service => report.systemd == Systemd::Available,
                Rule::Disk | Rule::Inodes => report.at - row.watch.at > GONE,
                Rule::Swap => report.memory.is_some(),
                _ => false,
            };
            if is_gone {
                if row.watch.firing {
                    incident::clear(tx, &mut self.told, &row.server_id, row.rule, &row.subject).await?;
                }
                row.watch = Watch::default();
                self.changed.push(row);
            }
        }
        Ok(())
    }

    /// A new boot that nobody in the chat asked for.
    async fn reboot(&mut self, tx: &mut Tx, known: &Known, report: &Report) -> store::Result<()> {
        let limits = self.thresholds.of(known.chat_id, &known.id, Rule::Reboot);
        let is_new = known.boot.as_ref().is_some_and(|boot| *boot != report.boot);
        // A boot id that comes back is no reboot: two hosts report in turn.
        let is_back = known.previous_boot.as_deref() == Some(&report.boot);
        if !is_new || is_back || !limits.enabled {
            return Ok(());
        }
        // In a container the uptime is the host's: it began, at the earliest, after the last report of the boot before.
        let uptime = i64::try_from(report.host.uptime_s).unwrap_or(0) * SECOND;
        let booted_at = (report.at - uptime).max(known.at.unwrap_or_default());
        if commands::is_reboot_asked(tx, &known.id, booted_at - REBOOTING).await? {
            return Ok(());
        }
        incident::fire(tx, &mut self.told, firing(known, Rule::Reboot, "", limits, 1.0, booted_at)).await
    }

    /// Writes what is to be remembered, and tells what is to be told.
    pub async fn finish(self, tx: &mut Tx) -> store::Result<()> {
        watches::put(tx, &self.changed).await?;
        self.told.finish(tx).await
    }
}

fn firing<'a>(known: &'a Known, rule: Rule, subject: &'a str, limits: Limits, value: f64, since: Millis) -> Firing<'a> {
    Firing { chat_id: known.chat_id, server_id: &known.id, rule, subject, limits, value, since, processes: Vec::new() }
}

/// Everything in a report that has a limit: rule, mount point or unit, figure. Where a host names two things alike, the worse counts.
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
    let mut places: HashMap<(Rule, &str), usize> = HashMap::with_capacity(figures.len());
    let mut folded: Vec<(Rule, &str, f64)> = Vec::with_capacity(figures.len());
    for (rule, subject, value) in figures {
        match places.entry((rule, subject)) {
            Entry::Occupied(place) => folded[*place.get()].2 = folded[*place.get()].2.max(value),
            Entry::Vacant(place) => {
                place.insert(folded.len());
                folded.push((rule, subject, value));
            }
        }
    }
    folded
}

/// The highest figure of a report that a rule is about, and of what.
pub fn figure(rule: Rule, report: &Report) -> Option<(&str, f64)> {
    let figures = figures(report).into_iter().filter(|(of, _, _)| *of == rule);
    figures.map(|(_, subject, value)| (subject, value)).max_by(|(_, a), (_, b)| a.total_cmp(b))
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

/// One look at who is silent, by the holder of the lease `role`.
pub async fn listen(core: &Core, listener: &mut Listener, role: &str) -> store::Result<()> {
    let mut tx = core.store.read().await?;
    let heard = watches::heard(&mut tx, core.clock.now() - REBOOTING).await?;
    let thresholds = thresholds::of_rule(&mut tx, Rule::Offline).await?;
    drop(tx);
    let limits = |heard: &Heard| thresholds.of(heard.chat_id, &heard.server_id, Rule::Offline);
    let servers: Vec<Seen> = heard.iter().map(|heard| seen(heard, &limits(heard))).collect();
    let silent: Vec<&Heard> = listener.look(core.clock.steady(), &servers).into_iter().map(|place| &heard[place]).collect();
    // The rule was switched off: whoever is silent is no trouble any more.
    let excused: Vec<&Heard> = heard.iter().filter(|heard| heard.is_offline && !limits(heard).enabled).collect();
    if silent.is_empty() && excused.is_empty() {
        return Ok(());
    }
    let mut tx = core.store.begin().await?;
    if leases::holder(&mut tx, role).await?.as_ref() != Some(&core.instance) {
        return Ok(());
    }
    let ids: Vec<String> = silent.iter().chain(&excused).map(|heard| heard.server_id.clone()).collect();
    servers::hold(&mut tx, &ids).await?;
    let now = core.clock.now();
    let mut told = Announcer::new(core, now);
    let mut rows = Vec::new();
    let mut remember = |heard: &Heard, watch| {
        rows.push(Row { server_id: heard.server_id.clone(), rule: Rule::Offline, subject: String::new(), watch });
    };
    for heard in silent {
        // It may have reported, or gone, since the look.
        if watches::is_still(&mut tx, heard).await? {
            incident::fire(&mut tx, &mut told, went_silent(heard, limits(heard))).await?;
            remember(heard, Watch { at: now, firing: true, ..Watch::default() });
        }
    }
    for heard in excused {
        incident::clear(&mut tx, &mut told, &heard.server_id, Rule::Offline, "").await?;
        remember(heard, Watch::default());
    }
    watches::put(&mut tx, &rows).await?;
    told.finish(&mut tx).await?;
    tx.commit("offline").await
}

fn seen(heard: &Heard, limits: &Limits) -> Seen {
    let interval = heard.interval_s * SECOND;
    #[expect(clippy::cast_possible_truncation, reason = "at most 60 intervals")]
    let grace = (interval * limits.limit as i64).max(SHORTEST_GRACE);
    Seen {
        server_id: heard.server_id.clone(),
        chat_id: heard.chat_id,
        received_at: heard.received_at,
        interval,
        grace,
        excused: heard.is_offline || heard.is_rebooting || !limits.enabled,
    }
}

fn went_silent(heard: &Heard, limits: Limits) -> Firing<'_> {
    Firing {
        chat_id: heard.chat_id,
        server_id: &heard.server_id,
        rule: Rule::Offline,
        subject: "",
        limits,
        value: limits.limit,
        since: heard.received_at,
        processes: Vec::new(),
    }
}

/// Its host was paired anew: what was known of it is no longer so.
pub async fn forget(tx: &mut Tx, core: &Core, server_id: &str, now: Millis) -> store::Result<()> {
    watches::forget(tx, server_id).await?;
    let mut told = Announcer::new(core, now);
    incident::end_all(tx, &mut told, server_id).await?;
    told.finish(tx).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use osm_protocol::messages::{Disk, Host, Load, Memory, Service};

    fn report() -> Report {
        let disk = |used| Disk {
            mount: "/".to_owned(),
            fs_type: "ext4".to_owned(),
            total: 100,
            used,
            available: 100 - used,
            inodes_total: 100,
            inodes_free: 40,
            read_only: false,
        };
        let service = |unit: &str, state: &str| Service {
            unit: unit.to_owned(),
            active_state: state.to_owned(),
            sub_state: String::new(),
            result: None,
            restartable: false,
        };
        Report {
            at: 0,
            interval_s: 30,
            boot: String::new(),
            clock_ahead_ms: -31_500,
            host: Host {
                hostname: String::new(),
                os: String::new(),
                kernel: String::new(),
                arch: String::new(),
                cpus: 4,
                uptime_s: 0,
            },
            cpu: Some(12.5),
            memory: Some(Memory { total: 100, available: 30, swap_total: 10, swap_free: 1 }),
            load: Some(Load { one: 9.0, five: 6.0, fifteen: 1.0 }),
            // Two that this host names alike.
            disks: vec![disk(20), disk(95)],
            systemd: Systemd::Available,
            chores: vec![],
            monitored_only: None,
            services: vec![service("a.service", "failed"), service("b.service", "active"), service("a.service", "active")],
            processes: vec![],
        }
    }

    #[test]
    fn every_rule_that_a_report_tells_of_has_its_figure_and_of_two_alike_the_worse_counts() {
        assert_eq!(
            figures(&report()),
            [
                (Rule::Cpu, "", 12.5),
                (Rule::Memory, "", 70.0),
                (Rule::Swap, "", 90.0),
                (Rule::Load, "", 1.5),
                (Rule::Disk, "/", 95.0),
                (Rule::Inodes, "/", 60.0),
                (Rule::Service, "a.service", 1.0),
                (Rule::Service, "b.service", 0.0),
                (Rule::Clock, "", 31.5),
            ]
        );
        assert_eq!(figure(Rule::Service, &report()), Some(("a.service", 1.0)));
        assert_eq!(figure(Rule::Offline, &report()), None);
    }
}
