//! One report: everything that is sent about this host, and nothing else.

use osm_protocol::messages::{Report, ReportBatch, limits};

use super::collect::{self, cpu::Cpu, disk::Disks, processes::Processes, services::Services};
use crate::{
    config::Settings,
    host::{clock::Clock, identity::BootId, systemd::Systemd},
    text::clean,
};

/// The collectors that remember something from one report to the next.
pub struct Reporter {
    cpu: Cpu,
    disks: Disks,
    services: Services,
    /// Only where agent.toml lets it.
    processes: Option<Processes>,
}

/// A report, and when it was measured by the boot clock.
pub struct Measured {
    pub report: Report,
    pub boot_at: i64,
}

impl Measured {
    /// Says that nothing may be asked for, for this reason.
    #[must_use]
    pub fn refusing(mut self, why: &str) -> Self {
        self.report.monitored_only = Some(clean(why, limits::NAME));
        self.report.chores.clear();
        for service in &mut self.report.services {
            service.restartable = false;
        }
        self
    }

    /// Says why commands do not reach this host, where that is so.
    #[must_use]
    pub fn unreached(mut self, why: Option<&str>) -> Self {
        self.report.commands_unreachable = why.map(|why| clean(why, limits::NAME));
        self
    }
}

impl Reporter {
    pub fn new(settings: &Settings) -> Self {
        let processes = settings.top_processes.then(Processes::new);
        Self { cpu: Cpu::new(), disks: Disks::default(), services: Services::default(), processes }
    }

    /// Takes the first reading of the CPUs, so that the next report has their load.
    pub fn warm_up(&mut self) {
        self.cpu.collect();
        if let Some(processes) = &mut self.processes {
            processes.collect();
        }
    }

    /// Measures everything once.
    pub async fn measure(&mut self, settings: &Settings, clock: &Clock, boot: &BootId, systemd: &impl Systemd) -> Measured {
        let moment = clock.moment();
        let boot_at = moment.boot;
        let at = clock.now();
        // A large future: the session that holds it is on one thread's stack.
        let services = Box::pin(self.services.collect(settings, systemd, moment)).await;
        let disks = self.disks.collect().await;
        let report = Report {
            at,
            interval_s: u32::try_from(settings.interval.as_secs()).unwrap_or(3600),
            boot: boot.as_str().to_owned(),
            clock_ahead_ms: clock.ahead(),
            host: collect::host::collect(boot_at),
            cpu: self.cpu.collect(),
            memory: collect::memory::collect(),
            load: collect::load::collect(),
            disks: disks.disks,
            unread_disks: disks.unread,
            disks_left_out: disks.left_out,
            systemd: services.systemd,
            chores: services.chores,
            monitored_only: services.monitored_only,
            commands_unreachable: None,
            services: services.services,
            processes: self.processes.as_mut().map(Processes::collect).unwrap_or_default(),
        };
        if let Err(invalid) = report.validate(at) {
            // The backend would refuse it whole: this is a mistake in a collector.
            log::error!("this report does not keep the contract: {invalid}");
        }
        Measured { report, boot_at }
    }
}

/// Puts reports into one request.
pub fn batch(reports: Vec<Report>) -> ReportBatch {
    ReportBatch { agent_version: env!("CARGO_PKG_VERSION").to_owned(), reports }
}

/// Gives a report the time that the boot clock gives it now. Where that is close to the one it has, it keeps the one it
/// has: the same report must have the same time however often it is sent.
pub fn redated(report: Report, boot_at: i64, clock: &Clock, boot: &BootId) -> Report {
    const CLOSE_MS: u64 = 5_000;
    match clock.at_boot_time(boot_at) {
        Some(at) if report.boot == boot.as_str() && at.abs_diff(report.at) > CLOSE_MS => {
            Report { at, clock_ahead_ms: clock.ahead(), ..report }
        }
        _ => report,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::systemd::fake::{Fake, unit};

    #[tokio::test]
    async fn this_hosts_report_keeps_the_contract_and_survives_json() {
        let systemd = Fake { units: Ok(vec![unit("nginx.service", "active")]), ..Fake::default() };
        let settings = Settings { top_processes: true, ..Settings::for_test() };
        let mut reporter = Reporter::new(&settings);
        reporter.warm_up();
        tokio::time::sleep(sysinfo::MINIMUM_CPU_UPDATE_INTERVAL).await;
        let clock = Clock::system();
        let Measured { report, .. } = reporter.measure(&settings, &clock, &BootId::for_test("a".repeat(64)), &systemd).await;
        report.validate(clock.now()).unwrap();
        assert!(report.cpu.is_some() && report.memory.is_some() && report.load.is_some() && !report.processes.is_empty());
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
