//! The biggest processes by CPU and by memory, by name alone. Only where agent.toml turns it on.

use std::{collections::BTreeSet, path::Path};

use osm_protocol::messages::{Process, limits};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, RefreshKind, System};

use crate::text::clean_or;

/// Of each kind.
const COUNT: usize = limits::PROCESSES / 2;

pub struct Processes {
    system: Option<System>,
}

impl Processes {
    pub fn new() -> Self {
        let system = System::new_with_specifics(RefreshKind::nothing())
            .inspect_err(|error| log::warn!("processes cannot be read: {error}"))
            .ok();
        Self { system }
    }

    /// Shares of the CPU are those since the reading before. Nothing where others' processes are hidden: the biggest of those
    /// that can be seen would be none of the biggest.
    pub fn collect(&mut self) -> Vec<Process> {
        let Some(system) = self.system.as_mut().filter(|_| are_visible()) else { return Vec::new() };
        let kind = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        // The kernel's own count too: a busy kswapd0 explains much.
        biggest(system.processes().values().map(|process| Process {
            name: clean_or(&process.name().to_string_lossy(), limits::NAME, "unnamed"),
            cpu: (f64::from(process.cpu_usage()) * 10.0).round() / 10.0,
            memory: process.memory().min(limits::BYTES),
        }))
    }
}

/// Says whether this process sees those of others: `ProtectProc=invisible` of systemd.exec(5) hides them, and `hidepid` of
/// proc(5).
pub fn are_visible() -> bool {
    Path::new("/proc/1").exists()
}

/// Picks the biggest by CPU and those by memory, each once. What does nothing is none of the biggest.
fn biggest(processes: impl Iterator<Item = Process>) -> Vec<Process> {
    let all: Vec<Process> = processes.filter(|process| process.cpu.is_finite()).collect();
    let top = |compare: fn(&Process, &Process) -> std::cmp::Ordering| {
        let mut places: Vec<usize> = (0..all.len()).collect();
        places.sort_by(|a, b| compare(&all[*b], &all[*a]));
        places.truncate(COUNT);
        places
    };
    let by_cpu = top(|a, b| a.cpu.total_cmp(&b.cpu));
    let by_memory = top(|a, b| a.memory.cmp(&b.memory));
    let places: BTreeSet<usize> = by_cpu.into_iter().chain(by_memory).collect();
    places.into_iter().map(|place| all[place].clone()).filter(|process| process.cpu > 0.0 || process.memory > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock::Clock;

    fn process(name: &str, cpu: f64, memory: u64) -> Process {
        Process { name: name.to_owned(), cpu, memory }
    }

    #[test]
    fn three_by_cpu_and_three_by_memory_each_once() {
        let all = [
            process("idle", 0.0, 0),
            process("both", 150.0, 900),
            process("busy", 90.0, 1),
            process("nan", f64::NAN, 5000),
            process("warm", 40.0, 2),
            process("cool", 10.0, 3),
            process("fat", 0.0, 800),
            process("plump", 0.0, 700),
        ];
        let names = |found: Vec<Process>| found.into_iter().map(|process| process.name).collect::<Vec<_>>();
        assert_eq!(names(biggest(all.into_iter())), ["both", "busy", "warm", "fat", "plump"]);
        assert_eq!(names(biggest([process("idle", 0.0, 0)].into_iter())), [""; 0]);
    }

    #[test]
    fn this_very_process_is_seen_at_work() {
        let clock = Clock::system();
        let work = || {
            let end = clock.instant() + 2 * sysinfo::MINIMUM_CPU_UPDATE_INTERVAL;
            while clock.instant() < end {
                std::hint::spin_loop();
            }
        };
        let mut processes = Processes::new();
        // What had used no time at all by the first reading has no share at the second.
        work();
        processes.collect();
        work();
        let found = processes.collect();
        assert!(found.len() <= limits::PROCESSES && found.iter().any(|process| process.cpu > 10.0), "{found:?}");
    }
}
