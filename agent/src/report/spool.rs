//! Reports that the backend has not taken yet, on disk, one file each; newest first, bounded by age and size.
//!
//! Each report goes in before it is sent and is removed once the backend has answered, so that a crash in between loses
//! nothing. A file's name holds its order and both of its times: the index needs no file opened. Files are not synced: a
//! power cut may cost the newest reports, and a torn one is dropped.

use std::{
    collections::HashSet,
    fs, io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use osm_protocol::messages::{Report, limits};

use super::measure::redated;
use crate::{
    config::SpoolLimits,
    crash,
    host::{clock::Clock, identity::BootId},
};

/// Leaves room for the batch's own fields.
const BATCH_BYTES: u64 = limits::BODY as u64 - 64 * 1024;
const EXTENSION: &str = "json";

/// Where a report's file is and when it was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Order of measuring, whatever the clocks say.
    number: u64,
    /// As stored in the report.
    at: i64,
    /// By the boot clock.
    boot_at: i64,
    /// First characters of the boot's hash.
    boot: String,
    size: u64,
}

pub struct Spool {
    folder: PathBuf,
    limits: SpoolLimits,
    /// Oldest first.
    entries: Vec<Entry>,
    next: u64,
    /// Numbers of those that were refused as they are.
    aside: HashSet<u64>,
}

impl Spool {
    /// Opens the folder and looks at what lies there; anything that is no report's file is removed.
    pub fn open(folder: &Path, limits: SpoolLimits) -> io::Result<Self> {
        match fs::DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let mut entries = Vec::new();
        for file in fs::read_dir(folder)? {
            let file = file?;
            let size = file.metadata().map_or(0, |metadata| metadata.len());
            match file.file_name().to_str().and_then(|name| Entry::from_name(name, size)) {
                Some(entry) => entries.push(entry),
                None => drop(fs::remove_file(file.path())),
            }
        }
        entries.sort_unstable_by_key(|entry| entry.number);
        let next = entries.last().map_or(0, |entry: &Entry| entry.number + 1);
        Ok(Self { folder: folder.to_owned(), limits, entries, next, aside: HashSet::new() })
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Stores a report, making room if it must. A full disk costs the oldest reports first.
    pub fn add(&mut self, report: &Report, boot_at: i64, now: i64) -> io::Result<Entry> {
        let bytes = serde_json::to_vec(report)?;
        let entry = Entry {
            number: self.next,
            at: report.at,
            boot_at,
            boot: report.boot.chars().take(8).collect(),
            size: bytes.len() as u64,
        };
        self.next += 1;
        self.prune(&report.boot, boot_at, now, entry.size);
        let path = self.path(&entry);
        let mut written = write(&path, &bytes);
        while let Err(error) = &written
            && is_full(error)
            && !self.entries.is_empty()
        {
            let share = self.entries.len().div_ceil(10);
            log::warn!("the disk is full: the {share} oldest of {} spooled reports are dropped", self.entries.len());
            self.drop_oldest(share);
            written = write(&path, &bytes);
        }
        if let Err(error) = written {
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        self.entries.push(entry.clone());
        crash::point("spool.appended");
        Ok(entry)
    }

    /// Keeps these out of what is sent: they were refused as they are, and would keep the others from being taken.
    pub fn set_aside(&mut self, entries: &[Entry]) {
        self.aside.extend(entries.iter().map(|entry| entry.number));
    }

    /// Lets all that was set aside be sent again.
    pub fn take_back(&mut self) {
        self.aside.clear();
    }

    /// Reads the newest reports that fit into one request, at most `count`; newest first. Torn files are dropped.
    pub fn newest(&mut self, count: usize, clock: &Clock, boot: &BootId) -> Vec<(Entry, Report)> {
        let mut batch = Vec::new();
        let mut bytes = 0;
        let mut torn = Vec::new();
        for entry in self.entries.iter().rev().filter(|entry| !self.aside.contains(&entry.number)) {
            if batch.len() >= count || bytes + entry.size > BATCH_BYTES {
                break;
            }
            match fs::read(self.path(entry)).map_err(serde_json::Error::io).and_then(|bytes| serde_json::from_slice(&bytes)) {
                Ok(report) => {
                    bytes += entry.size;
                    batch.push((entry.clone(), redated(report, entry.boot_at, clock, boot)));
                }
                Err(error) => {
                    log::warn!("a spooled report is damaged and dropped: {error}");
                    torn.push(entry.clone());
                }
            }
        }
        self.remove(&torn);
        batch
    }

    /// Removes what the backend has taken.
    pub fn remove(&mut self, taken: &[Entry]) {
        for entry in taken {
            if let Err(error) = fs::remove_file(self.path(entry))
                && error.kind() != io::ErrorKind::NotFound
            {
                log::warn!("a report that was sent cannot be removed from the spool: {error}");
            }
        }
        self.entries.retain(|entry| !taken.contains(entry));
        self.aside.retain(|number| !taken.iter().any(|entry| entry.number == *number));
    }

    /// Makes room for `incoming` more bytes: what is too old goes, then the oldest.
    fn prune(&mut self, boot: &str, boot_now: i64, now: i64, incoming: u64) {
        let old = self.too_old(boot, boot_now, now);
        if !old.is_empty() {
            log::warn!("{} spooled reports are too old to be taken and are dropped", old.len());
            self.remove(&old);
        }
        let over = self.over(incoming);
        if over > 0 {
            log::warn!("the spool is full: its {over} oldest reports are dropped");
            self.drop_oldest(over);
        }
    }

    fn too_old(&self, boot: &str, boot_now: i64, now: i64) -> Vec<Entry> {
        let limit = self.limits.age.as_millis();
        // Within one boot the boot clock knows the age, whatever happened to the host's.
        let age = |entry: &Entry| if boot.starts_with(&entry.boot) { boot_now - entry.boot_at } else { now - entry.at };
        self.entries.iter().filter(|entry| u128::from(age(entry).unsigned_abs()) > limit).cloned().collect()
    }

    /// Counts how many of the oldest reports must go until `incoming` more bytes fit.
    fn over(&self, incoming: u64) -> usize {
        let mut total = incoming + self.entries.iter().map(|entry| entry.size).sum::<u64>();
        for (count, entry) in self.entries.iter().enumerate() {
            if total <= self.limits.bytes {
                return count;
            }
            total -= entry.size;
        }
        self.entries.len()
    }

    fn drop_oldest(&mut self, count: usize) {
        let oldest: Vec<Entry> = self.entries.iter().take(count).cloned().collect();
        self.remove(&oldest);
    }

    fn path(&self, entry: &Entry) -> PathBuf {
        self.folder.join(entry.name())
    }
}

impl Entry {
    fn name(&self) -> String {
        format!("{:012}_{}_{}_{}.{EXTENSION}", self.number, self.at, self.boot_at, self.boot)
    }

    fn from_name(name: &str, size: u64) -> Option<Self> {
        let mut parts = name.strip_suffix(EXTENSION)?.strip_suffix('.')?.split('_');
        let entry = Self {
            number: parts.next()?.parse().ok()?,
            at: parts.next()?.parse().ok()?,
            boot_at: parts.next()?.parse().ok()?,
            boot: parts.next()?.to_owned(),
            size,
        };
        (parts.next().is_none() && entry.name() == name).then_some(entry)
    }
}

/// Writes a file beside, then renames it: a crash of ours leaves no half file under a report's name.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path)).inspect_err(|_| drop(fs::remove_file(&beside)))
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::clock::Moment;
    use osm_protocol::messages::{Host, Systemd};
    use std::time::Duration;

    const NOW: i64 = 1_800_000_000_000;
    const HOUR: i64 = 3_600_000;
    const DAY: SpoolLimits = SpoolLimits { age: Duration::from_hours(24), bytes: 64 << 20 };

    fn boot(letter: &str) -> BootId {
        BootId::for_test(letter.repeat(64))
    }

    fn report(at: i64) -> Report {
        Report {
            at,
            interval_s: 30,
            boot: "a".repeat(64),
            clock_ahead_ms: 0,
            host: Host {
                hostname: "h".to_owned(),
                os: String::new(),
                kernel: String::new(),
                arch: String::new(),
                cpus: 1,
                uptime_s: 1,
            },
            cpu: None,
            memory: None,
            load: None,
            disks: vec![],
            systemd: Systemd::Absent,
            chores: vec![],
            monitored_only: None,
            unread_disks: Vec::new(),
            disks_left_out: 0,
            commands_unreachable: None,
            services: vec![],
            processes: vec![],
        }
    }

    fn times(spool: &mut Spool, count: usize) -> Vec<i64> {
        spool.newest(count, &Clock::system(), &boot("a")).into_iter().map(|(_, report)| report.at).collect()
    }

    #[test]
    fn newest_comes_first_and_survives_a_restart_until_taken() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), DAY).unwrap();
        for step in 0..5 {
            spool.add(&report(NOW + step), step, NOW).unwrap();
        }
        drop(spool);
        let mut spool = Spool::open(folder.path(), DAY).unwrap();
        assert_eq!(times(&mut spool, 2), [NOW + 4, NOW + 3]);
        let taken: Vec<Entry> = spool.newest(2, &Clock::system(), &boot("a")).into_iter().map(|(entry, _)| entry).collect();
        spool.remove(&taken);
        assert_eq!(times(&mut Spool::open(folder.path(), DAY).unwrap(), 9), [NOW + 2, NOW + 1, NOW]);
        // What comes after a restart is newer than all before it.
        spool.add(&report(NOW - 7), 9, NOW).unwrap();
        assert_eq!(times(&mut spool, 2), [NOW - 7, NOW + 2]);
    }

    #[test]
    fn what_was_set_aside_is_kept_and_out_of_the_way_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), DAY).unwrap();
        let entries: Vec<Entry> = (0..3).map(|step| spool.add(&report(NOW + step), step, NOW).unwrap()).collect();
        spool.set_aside(&entries[1..2]);
        assert_eq!(times(&mut spool, 9), [NOW + 2, NOW]);
        assert_eq!(spool.len(), 3);
        spool.take_back();
        assert_eq!(times(&mut spool, 9), [NOW + 2, NOW + 1, NOW]);
        spool.set_aside(&entries);
        spool.remove(&entries);
        assert!(spool.aside.is_empty());
    }

    #[test]
    fn age_and_size_are_bounded_and_the_oldest_go_first() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), DAY).unwrap();
        spool.add(&report(NOW), 0, NOW).unwrap();
        spool.add(&report(NOW + 2 * HOUR), 2 * HOUR, NOW + 2 * HOUR).unwrap();
        spool.add(&report(NOW + 25 * HOUR), 25 * HOUR, NOW + 25 * HOUR).unwrap();
        assert_eq!(times(&mut spool, 9), [NOW + 25 * HOUR, NOW + 2 * HOUR]);

        let size = spool.entries[0].size;
        let small = SpoolLimits { bytes: 3 * size, ..DAY };
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), small).unwrap();
        for step in 0..10 {
            spool.add(&report(NOW + step), step, NOW).unwrap();
        }
        assert_eq!(times(&mut spool, 9), [NOW + 9, NOW + 8, NOW + 7]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn within_one_boot_a_stepped_clock_loses_nothing_and_times_are_put_right() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), DAY).unwrap();
        // Measured while the host believed it was 1970.
        spool.add(&report(1_000), 60_000, 1_000).unwrap();
        let clock = Clock::manual(Moment { host: 2_000, boot: 130_000 });
        clock.learn(NOW, Duration::ZERO);
        spool.add(&report(NOW), 120_000, NOW).unwrap();
        let batch = spool.newest(9, &clock, &boot("a"));
        assert_eq!(batch.len(), 2);
        assert_eq!(batch[1].1.at, NOW - 70_000);
        // Of another boot nothing is known: left as it is.
        assert_eq!(spool.newest(9, &clock, &boot("b"))[1].1.at, 1_000);
    }

    #[test]
    fn torn_and_foreign_files_are_dropped_without_harm() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), DAY).unwrap();
        let first = spool.add(&report(NOW), 0, NOW).unwrap();
        let second = spool.add(&report(NOW + 1), 1, NOW).unwrap();
        let whole = fs::read(spool.path(&second)).unwrap();
        for cut in [0, 1, whole.len() / 2, whole.len() - 1] {
            fs::write(spool.path(&second), &whole[..cut]).unwrap();
            for foreign in ["x", "1_2_3.json", "000000000009_1_1_a_b.json", "9_1_1_a.json", "000000000009_1_1_a.new"] {
                fs::write(folder.path().join(foreign), [0xff; 9]).unwrap();
            }
            let mut spool = Spool::open(folder.path(), DAY).unwrap();
            assert_eq!(times(&mut spool, 9), [NOW], "cut at {cut}");
            assert_eq!(spool.len(), 1);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
            fs::write(spool.path(&second), &whole).unwrap();
        }
        assert_eq!(Spool::open(folder.path(), DAY).unwrap().entries[0], first);
    }

    #[test]
    fn a_batch_stays_under_the_bodys_limit() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), DAY).unwrap();
        let mut big = report(NOW);
        big.host.os = "x".repeat(100 * 1024);
        for step in 0..20 {
            spool.add(&big, step, NOW).unwrap();
        }
        let batch = spool.newest(127, &Clock::system(), &boot("a"));
        assert_eq!(batch.len(), 9);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(&folder.path().join("spool"), DAY).unwrap();
        fs::remove_dir(folder.path().join("spool")).unwrap();
        assert!(spool.add(&report(NOW), 0, NOW).is_err());
        assert_eq!(spool.len(), 0);
    }
}
