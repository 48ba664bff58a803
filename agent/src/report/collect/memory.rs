//! Memory and swap, as /proc/meminfo has them.

use std::fs;

use osm_protocol::messages::{Memory, limits};

pub fn collect() -> Option<Memory> {
    parse(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse(text: &str) -> Option<Memory> {
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes.saturating_mul(1024).min(limits::BYTES))
    };
    let total = field("MemTotal")?;
    // Kernels before 3.14 have no MemAvailable; what is free is the least there is.
    let available = field("MemAvailable").or_else(|| field("MemFree"))?;
    let swap_total = field("SwapTotal").unwrap_or(0);
    Some(Memory { total, available: available.min(total), swap_total, swap_free: field("SwapFree").unwrap_or(0).min(swap_total) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_of_a_real_machine_is_read() {
        let text = "MemTotal:       24590640 kB\nMemFree:        21345272 kB\nMemAvailable:   23713332 kB\nBuffers:             304 kB\n\
                    SwapCached:            0 kB\nSwapTotal:       2097148 kB\nSwapFree:        2097000 kB\nHugePages_Total:       0\n";
        assert_eq!(
            parse(text),
            Some(Memory {
                total: 24_590_640 * 1024,
                available: 23_713_332 * 1024,
                swap_total: 2_097_148 * 1024,
                swap_free: 2_097_000 * 1024
            })
        );
    }

    #[test]
    fn nonsense_stays_within_the_contract_or_is_absent() {
        assert_eq!(parse(""), None);
        assert_eq!(parse("MemTotal: x kB\nMemAvailable: 1 kB"), None);
        let odd = parse("MemTotal: 10 kB\nMemAvailable: 18446744073709551615 kB\nSwapFree: 5 kB").unwrap();
        assert_eq!((odd.available, odd.swap_total, odd.swap_free), (10_240, 0, 0));
    }
}
