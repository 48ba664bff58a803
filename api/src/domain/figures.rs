//! Everything in a report that has a limit, as figures.

use std::collections::{HashMap, hash_map::Entry};

use osm_protocol::messages::{Report, Service, Trouble, Unread};

use crate::domain::{
    alert::Rule,
    server::{disk_percent, inode_percent, load_per_cpu, memory_percent, swap_percent},
};

/// One figure of a report: its rule, the mount point or unit that it is of (empty for what a server has one of), and how much.
type Figure<'a> = (Rule, &'a str, f64);

/// Lists everything in a report that has a limit, each once: where a host names two things alike, the worse counts.
pub fn figures(report: &Report) -> Vec<Figure<'_>> {
    let all = reported(report);
    let mut places: HashMap<(Rule, &str), usize> = HashMap::with_capacity(all.len());
    let mut folded: Vec<Figure<'_>> = Vec::with_capacity(all.len());
    for (rule, subject, value) in all {
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

/// Gives the highest figure of a report that a rule is about, and of what.
pub fn worst_of(rule: Rule, report: &Report) -> Option<(&str, f64)> {
    let figures = reported(report).into_iter().filter(|(of, _, _)| *of == rule);
    figures.map(|(_, subject, value)| (subject, value)).max_by(|(_, a), (_, b)| a.total_cmp(b))
}

/// Gives the highest figure of each rule, which is what history keeps.
pub fn highest(report: &Report) -> impl Fn(Rule) -> Option<f64> {
    let all = reported(report);
    move |rule| all.iter().filter(|(of, _, _)| *of == rule).map(|(_, _, value)| *value).max_by(f64::total_cmp)
}

/// Lists what there is to tell of a unit: one cause is one rule's. What is no trouble need not be told of, but for what has a
/// figure.
fn of_unit(service: &Service) -> impl Iterator<Item = Figure<'_>> {
    let is_failed = service.active_state == "failed";
    let is_service = service.unit.ends_with(".service");
    // One that is not started again any more has no restarts.
    let restarts = match service.active_state.as_str() {
        "failed" | "inactive" => Some(0.0),
        _ => service.restarts.map(f64::from),
    };
    let is_restarted = restarts.is_some_and(|restarts| restarts >= Rule::Restarts.default_limits().limit);
    let trouble = match service.trouble {
        Some(Trouble::NotReady) if !is_restarted => Some(Rule::NotReady),
        Some(Trouble::Down) => Some(Rule::Down),
        Some(Trouble::NotReady) | None => None,
    };
    let figures = if is_service {
        [
            Some((Rule::Service, if is_failed { 1.0 } else { 0.0 })),
            restarts.map(|restarts| (Rule::Restarts, restarts)),
            trouble.map(|rule| (rule, 1.0)),
        ]
    } else {
        [is_failed.then_some((Rule::Unit, 1.0)), None, None]
    };
    figures.into_iter().flatten().map(|(rule, value)| (rule, service.unit.as_str(), value))
}

/// The one list of what a report has figures of, as it names them.
fn reported(report: &Report) -> Vec<Figure<'_>> {
    let mut figures = Vec::with_capacity(6 + 2 * report.disks.len() + 2 * report.services.len());
    figures.extend(report.cpu.map(|cpu| (Rule::Cpu, "", cpu)));
    if let Some(memory) = &report.memory {
        figures.push((Rule::Memory, "", memory_percent(memory)));
        figures.extend(swap_percent(memory).map(|swap| (Rule::Swap, "", swap)));
    }
    figures.extend(load_per_cpu(report).map(|load| (Rule::Load, "", load)));
    for disk in &report.disks {
        figures.push((Rule::Disk, &disk.mount, disk_percent(disk)));
        figures.extend(inode_percent(disk).map(|inodes| (Rule::Inodes, disk.mount.as_str(), inodes)));
        // One that was read-only before the agent could see it otherwise says nothing, and ends nothing.
        let went = if disk.went_read_only { 1.0 } else { f64::NAN };
        figures.push((Rule::ReadOnly, &disk.mount, if disk.read_only { went } else { 0.0 }));
    }
    let silent = report.unread_disks.iter().filter(|disk| disk.why == Unread::NoAnswer);
    figures.extend(silent.map(|disk| (Rule::NoAnswer, disk.mount.as_str(), 1.0)));
    for service in &report.services {
        figures.extend(of_unit(service));
    }
    #[expect(clippy::cast_precision_loss, reason = "seconds, for people")]
    figures.push((Rule::Clock, "", report.clock_ahead_ms.unsigned_abs() as f64 / 1000.0));
    figures.push((Rule::Commands, "", if report.commands_unreachable.is_some() { 1.0 } else { 0.0 }));
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use osm_protocol::messages::{Disk, Host, Load, Memory, Systemd};

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
            went_read_only: false,
        };
        let service = |unit: &str, state: &str| Service {
            unit: unit.to_owned(),
            active_state: state.to_owned(),
            sub_state: String::new(),
            result: None,
            restartable: false,
            ..Service::default()
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
            unread_disks: Vec::new(),
            disks_left_out: 0,
            commands_unreachable: None,
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
                (Rule::ReadOnly, "/", 0.0),
                (Rule::Service, "a.service", 1.0),
                (Rule::Restarts, "a.service", 0.0),
                (Rule::Service, "b.service", 0.0),
                (Rule::Clock, "", 31.5),
                (Rule::Commands, "", 0.0),
            ]
        );
        assert_eq!(worst_of(Rule::Service, &report()), Some(("a.service", 1.0)));
        assert_eq!([Rule::Disk, Rule::Swap, Rule::Reboot].map(highest(&report())), [Some(95.0), Some(90.0), None]);
        assert_eq!(worst_of(Rule::Offline, &report()), None);
    }

    #[test]
    fn of_a_unit_one_rule_tells_one_cause() {
        let unit =
            |unit: &str, state: &str| Service { unit: unit.to_owned(), active_state: state.to_owned(), ..Service::default() };
        let told =
            |service: Service| of_unit(&service).filter(|figure| figure.2 > 0.0).map(|(rule, _, value)| (rule, value)).collect();
        let looping = |state, restarts| Service {
            restarts: Some(restarts),
            trouble: (state == "activating").then_some(Trouble::NotReady),
            ..unit("a.service", state)
        };
        let cases: [(Service, Vec<(Rule, f64)>); 8] = [
            (looping("active", 7), vec![(Rule::Restarts, 7.0)]),
            (looping("activating", 7), vec![(Rule::Restarts, 7.0)]),
            (looping("activating", 1), vec![(Rule::Restarts, 1.0), (Rule::NotReady, 1.0)]),
            (looping("failed", 7), vec![(Rule::Service, 1.0)]),
            (looping("inactive", 7), vec![]),
            (Service { trouble: Some(Trouble::Down), ..unit("a.service", "inactive") }, vec![(Rule::Down, 1.0)]),
            (unit("srv-data.mount", "failed"), vec![(Rule::Unit, 1.0)]),
            (unit("srv-data.mount", "active"), vec![]),
        ];
        for (service, expected) in cases {
            let told: Vec<(Rule, f64)> = told(service.clone());
            assert_eq!(told, expected, "{service:?}");
        }
    }
}
