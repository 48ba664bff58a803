//! Busy share of all CPUs between two readings.

use sysinfo::{CpuRefreshKind, RefreshKind, System};

pub struct Cpu {
    system: Option<System>,
    read: bool,
}

impl Cpu {
    pub fn new() -> Self {
        let system = System::new_with_specifics(RefreshKind::nothing())
            .inspect_err(|error| log::warn!("the CPUs' load cannot be read: {error}"))
            .ok();
        Self { system, read: false }
    }

    /// Gives the percent since the reading before; `None` for the first one.
    pub fn collect(&mut self) -> Option<f64> {
        let system = self.system.as_mut()?;
        system.refresh_cpu_specifics(CpuRefreshKind::nothing().with_usage());
        let busy = f64::from(system.global_cpu_usage());
        let first = !std::mem::replace(&mut self.read, true);
        (!first && busy.is_finite()).then(|| ((busy * 100.0).round() / 100.0).clamp(0.0, 100.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_reading_says_nothing_and_the_second_a_share() {
        let mut cpu = Cpu::new();
        assert_eq!(cpu.collect(), None);
        std::thread::sleep(sysinfo::MINIMUM_CPU_UPDATE_INTERVAL);
        assert!((0.0..=100.0).contains(&cpu.collect().unwrap()));
    }
}
