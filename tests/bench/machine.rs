//! Where this was measured.

use std::{
    fs,
    io::{Seek, SeekFrom, Write},
    path::Path,
    time::Instant,
};

use anyhow::Result;

use crate::figures::{Latencies, mb};

pub fn print(dir: &Path) -> Result<()> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo")?;
    let model =
        cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':')).map_or("unknown", |(_, name)| name);
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    println!("cpu      {} × {}", std::thread::available_parallelism()?, model.trim());
    println!("memory   {}", mb(total.unwrap_or_default() * 1024));
    println!("kernel   {}", fs::read_to_string("/proc/sys/kernel/osrelease")?.trim());
    println!("load     {} before the start", fs::read_to_string("/proc/loadavg")?.split(' ').next().unwrap_or_default());
    println!("disk     {}, 4 KiB written and fdatasync: {}", dir.display(), sync(dir)?.summary());
    Ok(())
}

/// What a commit cannot go below.
fn sync(dir: &Path) -> Result<Latencies> {
    let mut file = tempfile::tempfile_in(dir)?;
    let mut latencies = Latencies::default();
    for _ in 0..100 {
        let start = Instant::now();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        latencies.push(start.elapsed());
    }
    Ok(latencies)
}
