//! What /proc says of a process; proc(5).

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// Resident memory, bytes.
pub fn rss(pid: u32) -> Result<u64> {
    kib(&fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:")
}

/// Resident memory with shared pages divided by those who share them, bytes.
pub fn pss(pid: u32) -> Result<u64> {
    kib(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?, "Pss:")
}

/// User and system time of all threads, ended ones too.
pub fn cpu(pid: u32) -> Result<Duration> {
    /// `USER_HZ`: 100 on every architecture that is left.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; utime and stime are the 14th and 15th field.
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<u32> = rest.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    Ok(TICK * fields.iter().sum())
}

/// Bytes it caused to be written to disk.
pub fn written(pid: u32) -> Result<u64> {
    let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:")).context("no write_bytes")?;
    Ok(line.trim().parse()?)
}

fn kib(text: &str, key: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
    let value: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(value * 1024)
}
