//! The sizes of mounted filesystems, by statvfs(3).
//!
//! Network filesystems are never touched: statvfs on a dead one hangs for good. What else might hang (a dying disk) is asked on a
//! thread of its own with a time limit. Nothing is left out in silence: what does not answer, what the agent may not look at and
//! what does not fit is reported as that.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    fs, io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use osm_protocol::messages::{Disk, Unread, UnreadDisk, limits};
use rustix::fs::StatVfs;
use tokio::{sync::oneshot, time::timeout};

use super::mounts::{Fstab, Mount, filesystems};
use crate::text::clean_or;

const STATVFS_LIMIT: Duration = Duration::from_secs(2);
/// So many hanging filesystems, and no further one is asked: each holds a thread for good, and the unit allows 32.
const STUCK_MAX: usize = 12;
/// Asked side by side.
const AT_ONCE: usize = 8;
/// Filesystems that are looked at.
const ASKED_MAX: usize = 1024;
const STACK: usize = 64 * 1024;
/// What is reported first where not all fit.
const IMPORTANT: [&str; 6] = ["/", "/var", "/srv", "/home", "/boot", "/data"];

/// All that can be said about the disks of this host.
#[derive(Debug, Default)]
pub struct Seen {
    pub disks: Vec<Disk>,
    pub unread: Vec<UnreadDisk>,
    /// How many more there are than fit into a report.
    pub left_out: u32,
}

/// What is remembered from one report to the next.
#[derive(Default)]
pub struct Disks {
    /// Mounts whose statvfs has not come back yet.
    stuck: Arc<Mutex<HashSet<Vec<u8>>>>,
    /// Mounts that were writable.
    writable: HashSet<Vec<u8>>,
}

impl Disks {
    pub async fn collect(&mut self) -> Seen {
        let Ok(text) = fs::read("/proc/self/mountinfo") else {
            log::warn!("/proc/self/mountinfo cannot be read: no disks are reported");
            return Seen::default();
        };
        let fstab = Fstab::parse(&fs::read("/etc/fstab").unwrap_or_default());
        let mut mounts = filesystems(&text);
        let over = mounts.len().saturating_sub(ASKED_MAX);
        mounts.truncate(ASKED_MAX);
        let (mut read, mut unread) = (Vec::new(), Vec::new());
        for (mount, stat) in self.ask_all(&mounts).await {
            match stat {
                Ok(stat) => {
                    let went_read_only = self.went_read_only(mount, &fstab);
                    read.extend(disk(mount, &stat).map(|disk| (mount.pool(), Disk { went_read_only, ..disk })));
                }
                Err(Some(why)) => unread.push(unread_disk(mount, why)),
                Err(None) => {}
            }
        }
        self.writable.retain(|path| mounts.iter().any(|mount| mount.path == *path));
        fitting(pooled(read), unread, over)
    }

    /// Asks each; the error says why there are no figures, or that there is nothing to be told.
    async fn ask_all<'m>(&self, mounts: &'m [Mount]) -> Vec<(&'m Mount, Result<StatVfs, Option<Unread>>)> {
        let mut answers = Vec::with_capacity(mounts.len());
        for some in mounts.chunks(AT_ONCE) {
            let asked = some.iter().map(async |mount| (mount, self.statvfs(&mount.path).await));
            answers.extend(futures_util::future::join_all(asked).await);
        }
        answers
    }

    async fn statvfs(&self, path: &[u8]) -> Result<StatVfs, Option<Unread>> {
        {
            let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
            if stuck.len() >= STUCK_MAX || !stuck.insert(path.to_owned()) {
                return Err(Some(Unread::NoAnswer));
            }
        }
        let (tell, told) = oneshot::channel();
        let (stuck, asked) = (Arc::clone(&self.stuck), path.to_owned());
        let thread = std::thread::Builder::new().name("statvfs".to_owned()).stack_size(STACK).spawn(move || {
            let stat = rustix::fs::statvfs(asked.as_slice()).map_err(io::Error::from);
            stuck.lock().unwrap_or_else(PoisonError::into_inner).remove(&asked);
            let _ = tell.send(stat);
        });
        let name = || String::from_utf8_lossy(path).into_owned();
        if let Err(error) = thread {
            self.stuck.lock().unwrap_or_else(PoisonError::into_inner).remove(path);
            log::warn!("{} cannot be asked: {error}", name());
            return Err(Some(Unread::NoAnswer));
        }
        match timeout(STATVFS_LIMIT, told).await {
            Ok(Ok(Ok(stat))) => Ok(stat),
            Ok(Ok(Err(error))) => Err(match error.kind() {
                io::ErrorKind::PermissionDenied => Some(Unread::Forbidden),
                // Not mounted any more.
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => None,
                _ => Some(Unread::NoAnswer),
            }),
            Ok(Err(_)) => Err(Some(Unread::NoAnswer)),
            Err(_) => {
                log::warn!("{} does not answer", name());
                Err(Some(Unread::NoAnswer))
            }
        }
    }

    /// Tells whether a filesystem that was to be written to is read-only by now: the kernel does that to one that fails.
    fn went_read_only(&mut self, mount: &Mount, fstab: &Fstab) -> bool {
        if mount.read_only {
            return self.writable.contains(&mount.path) || fstab.wants_writable(&mount.path);
        }
        if !self.writable.contains(&mount.path) {
            self.writable.insert(mount.path.clone());
        }
        false
    }
}

/// Makes one disk of all datasets of a ZFS pool that share what is free: used is what all of them use. One with a quota of its
/// own has less free, and stays a disk.
fn pooled(read: Vec<(Option<&[u8]>, Disk)>) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::with_capacity(read.len());
    let mut pools: HashMap<(&[u8], u64), usize> = HashMap::new();
    for (pool, disk) in read {
        let Some(pool) = pool else {
            disks.push(disk);
            continue;
        };
        match pools.get(&(pool, disk.available)) {
            None => {
                pools.insert((pool, disk.available), disks.len());
                disks.push(disk);
            }
            Some(&place) => add(&mut disks[place], &disk),
        }
    }
    disks
}

fn add(whole: &mut Disk, part: &Disk) {
    whole.used = whole.used.saturating_add(part.used).min(limits::BYTES - whole.available.min(limits::BYTES));
    whole.total = whole.used + whole.available;
    if part.mount.len() < whole.mount.len() {
        whole.mount.clone_from(&part.mount);
    }
    // Inodes of ZFS are made as they are needed, and are as many for each dataset.
    whole.read_only &= part.read_only;
    whole.went_read_only |= part.went_read_only;
}

/// Keeps what fits into a report: what is important, then what is fullest.
fn fitting(mut disks: Vec<Disk>, mut unread: Vec<UnreadDisk>, over: usize) -> Seen {
    let share = |disk: &Disk| disk.used * 1000 / (disk.used + disk.available).max(1);
    let rank = |disk: &Disk| (!IMPORTANT.contains(&disk.mount.as_str()), !disk.went_read_only, Reverse(share(disk)));
    let left_out = over + disks.len().saturating_sub(limits::DISKS) + unread.len().saturating_sub(limits::UNREAD_DISKS);
    if disks.len() > limits::DISKS {
        disks.sort_by_cached_key(rank);
        disks.truncate(limits::DISKS);
        disks.sort_by(|one, other| one.mount.cmp(&other.mount));
    }
    unread.truncate(limits::UNREAD_DISKS);
    Seen { disks, unread, left_out: u32::try_from(left_out).unwrap_or(u32::MAX) }
}

/// Gives the figures as df(1) counts them; `None` for a filesystem without any storage.
fn disk(mount: &Mount, stat: &StatVfs) -> Option<Disk> {
    let block = if stat.f_frsize == 0 { stat.f_bsize } else { stat.f_frsize };
    let bytes = |blocks: u64| blocks.saturating_mul(block).min(limits::BYTES);
    let total = bytes(stat.f_blocks);
    let inodes_total = stat.f_files.min(limits::BYTES);
    (total > 0).then(|| Disk {
        mount: mount.name(),
        fs_type: fs_type(mount),
        total,
        used: bytes(stat.f_blocks.saturating_sub(stat.f_bfree)).min(total),
        available: bytes(stat.f_bavail).min(total),
        inodes_total,
        inodes_free: stat.f_ffree.min(inodes_total),
        read_only: mount.read_only,
        went_read_only: false,
    })
}

fn unread_disk(mount: &Mount, why: Unread) -> UnreadDisk {
    UnreadDisk { mount: mount.name(), fs_type: fs_type(mount), why }
}

fn fs_type(mount: &Mount) -> String {
    clean_or(&mount.fs_type, 64, "unknown")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk_of(mount: &str, used: u64, available: u64) -> Disk {
        Disk {
            mount: mount.to_owned(),
            fs_type: "zfs".to_owned(),
            total: used + available,
            used,
            available,
            inodes_total: 0,
            inodes_free: 0,
            read_only: false,
            went_read_only: false,
        }
    }

    fn mount(path: &str, options: &str) -> Mount {
        let text = format!("1 0 8:1 / {path} rw - ext4 /dev/sda1 {options}");
        filesystems(text.as_bytes()).remove(0)
    }

    #[tokio::test]
    async fn this_host_has_disks_within_the_contract() {
        let seen = Disks::default().collect().await;
        for disk in &seen.disks {
            assert!(disk.used <= disk.total && disk.available <= disk.total && disk.inodes_free <= disk.inodes_total);
        }
    }

    #[tokio::test]
    async fn a_mount_that_hangs_is_asked_once_and_hides_no_other() {
        let disks = Disks::default();
        for number in 0..8 {
            disks.stuck.lock().unwrap().insert(format!("/{number}").into_bytes());
        }
        assert_eq!(disks.statvfs(b"/7").await.err(), Some(Some(Unread::NoAnswer)));
        assert!(disks.statvfs(b"/proc").await.is_ok());
        assert_eq!(disks.statvfs(b"/nowhere/at/all").await.err(), Some(None));
        assert_eq!(disks.stuck.lock().unwrap().len(), 8);
    }

    #[test]
    fn a_disk_that_was_writable_or_is_to_be_went_read_only_and_another_was_meant_so() {
        let mut disks = Disks::default();
        let fstab = Fstab::parse(b"/dev/sdb /srv ext4 defaults 0 2\n/dev/sdc /iso ext4 ro 0 0\n");
        assert!(!disks.went_read_only(&mount("/mnt", "ro"), &fstab));
        assert!(!disks.went_read_only(&mount("/mnt", "rw"), &fstab));
        assert!(disks.went_read_only(&mount("/mnt", "ro"), &fstab));
        assert!(disks.went_read_only(&mount("/srv", "ro"), &fstab), "also when the agent was not there to see it");
        assert!(!disks.went_read_only(&mount("/iso", "ro"), &fstab));
    }

    #[test]
    fn the_datasets_of_a_pool_are_one_disk_and_one_with_a_quota_is_its_own() {
        let tank = Some(&b"tank"[..]);
        let mut read = vec![(None, disk_of("/", 1, 9)), (tank, disk_of("/tank/a", 300, 100))];
        read.extend((0..300).map(|number| (tank, disk_of(&format!("/tank/d{number}"), 1, 100))));
        read.push((tank, disk_of("/tank", 0, 100)));
        read.push((tank, disk_of("/tank/limited", 5, 20)));
        read.push((Some(&b"other"[..]), disk_of("/other", 7, 100)));
        let disks = pooled(read);
        let seen: Vec<_> = disks.iter().map(|disk| (disk.mount.as_str(), disk.used, disk.total)).collect();
        assert_eq!(seen, [("/", 1, 10), ("/tank", 600, 700), ("/tank/limited", 5, 25), ("/other", 7, 107)]);
    }

    #[test]
    fn where_not_all_fit_the_important_and_the_fullest_stay_and_the_rest_is_counted() {
        let mut disks: Vec<Disk> = (0..200).map(|number| disk_of(&format!("/mnt/{number:03}"), 10, 90)).collect();
        disks.push(disk_of("/zz", 99, 1));
        disks.push(disk_of("/srv", 0, 100));
        let unread = vec![UnreadDisk { mount: "/x".to_owned(), fs_type: "ext4".to_owned(), why: Unread::NoAnswer }; 200];
        let seen = fitting(disks, unread, 5);
        assert_eq!((seen.disks.len(), seen.unread.len()), (limits::DISKS, limits::UNREAD_DISKS));
        assert_eq!(seen.left_out as usize, 5 + 202 - limits::DISKS + 200 - limits::UNREAD_DISKS);
        for kept in ["/srv", "/zz"] {
            assert!(seen.disks.iter().any(|disk| disk.mount == kept), "{kept}");
        }
    }
}
