//! Mounted filesystems, each once, from /proc/self/mountinfo.

use std::collections::HashMap;

use osm_protocol::messages::limits;

use crate::text::clean_or;

/// Filesystems without storage of their own, or whose figures say nothing about this host's disks.
const PSEUDO: &[&str] = &[
    "autofs",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cramfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "fusectl",
    "hugetlbfs",
    "iso9660",
    "mqueue",
    "nsfs",
    "overlay",
    "overlayfs",
    "aufs",
    "proc",
    "pstore",
    "ramfs",
    "rootfs",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "squashfs",
    "erofs",
    "sysfs",
    "tmpfs",
    "tracefs",
    "udf",
    "fuse.gvfsd-fuse",
    "fuse.portal",
    "fuse.lxcfs",
    "fuse.snapfuse",
    "nfsd",
];

/// Filesystems whose server is elsewhere.
const NETWORK: &[&str] = &[
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "davfs",
    "fuse.ceph",
    "gfs",
    "gfs2",
    "glusterfs",
    "gpfs",
    "lustre",
    "ncp",
    "ncpfs",
    "nfs",
    "nfs3",
    "nfs4",
    "ocfs2",
    "orangefs",
    "panfs",
    "pvfs2",
    "smb3",
    "smbfs",
    "virtiofs",
    "vboxsf",
    "vmhgfs",
];

/// FUSE filesystems on a local block device; every other FUSE filesystem may be a network one.
const LOCAL_FUSE: &[&str] = &["fuseblk", "fuse.ntfs", "fuse.ntfs-3g", "fuse.exfat", "fuse.mergerfs"];

/// A line of mountinfo (`proc_pid_mountinfo(5)`), as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// `major:minor` of the filesystem: the same for every bind mount of it.
    pub device: String,
    pub path: Vec<u8>,
    pub fs_type: String,
    /// What is mounted: a device, a ZFS dataset.
    pub source: Vec<u8>,
    /// By the superblock: this process's own sandbox mounts everything read-only.
    pub read_only: bool,
    /// Shows the filesystem's root, not a folder of it.
    whole: bool,
}

/// Lists local filesystems with storage of their own, each once: of several mounts of one filesystem the one that shows its root,
/// then the shortest path. In the order of the paths.
pub fn filesystems(mountinfo: &[u8]) -> Vec<Mount> {
    let mounts: Vec<Mount> = mountinfo.split(|&byte| byte == b'\n').filter_map(parse).collect();
    let mut found: Vec<Mount> = Vec::new();
    for (index, mount) in mounts.iter().enumerate() {
        // A later mount over it or over a folder above it: its path leads elsewhere now, perhaps to a dead server.
        let covered = mounts[index + 1..].iter().any(|later| is_within(&mount.path, &later.path));
        if covered || !(is_local(&mount.fs_type) || is_containers_root(mount)) || is_hidden(&mount.path) {
            continue;
        }
        let mount = mount.clone();
        match found.iter_mut().find(|other| other.device == mount.device) {
            None => found.push(mount),
            Some(other) => {
                let rank = |mount: &Mount| (!mount.whole, mount.path.len());
                if rank(&mount) < rank(other) {
                    *other = mount;
                }
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    found
}

/// Says whether `path` is `folder` or lies in it; the root covers nothing, since it may be listed after what is mounted in it.
fn is_within(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || (rest[0] == b'/' && folder != b"/"))
}

/// Recognises the root inside a container: an overlay, and the only disk there is.
fn is_containers_root(mount: &Mount) -> bool {
    mount.path == b"/" && mount.fs_type == "overlay"
}

fn is_local(fs_type: &str) -> bool {
    if fs_type.starts_with("fuse") {
        return LOCAL_FUSE.contains(&fs_type);
    }
    !PSEUDO.contains(&fs_type) && !NETWORK.contains(&fs_type)
}

/// Recognises files that a container runtime mounts one by one, and what it keeps for itself below its folder. A filesystem that
/// is mounted on such a folder itself is the administrator's.
fn is_hidden(path: &[u8]) -> bool {
    let lies_in = |folder: &[u8]| path.strip_prefix(folder).is_some_and(|rest| rest.first() == Some(&b'/'));
    let is_or_lies_in = |folder: &[u8]| path == folder || lies_in(folder);
    [&b"/proc"[..], b"/sys", b"/dev", b"/snap"].into_iter().any(is_or_lies_in)
        // Removable media are mounted there.
        || is_or_lies_in(b"/run") && !lies_in(b"/run/media")
        || [&b"/var/lib/docker"[..], b"/var/lib/containers", b"/var/lib/kubelet", b"/var/lib/snapd"].into_iter().any(lies_in)
        || [&b"/etc/hosts"[..], b"/etc/hostname", b"/etc/resolv.conf"].contains(&path)
}

fn parse(line: &[u8]) -> Option<Mount> {
    // 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue
    let mut fields = line.split(|&byte| byte == b' ');
    let device = fields.nth(2)?;
    let root = fields.next()?;
    let path = unescape(fields.next()?);
    // Options, then any number of optional fields, then a lone hyphen.
    fields.by_ref().find(|field| *field == b"-")?;
    let fs_type = fields.next()?;
    let source = unescape(fields.next()?);
    let read_only = fields.next()?.split(|&byte| byte == b',').any(|option| option == b"ro");
    let device = std::str::from_utf8(device).ok().filter(|device| device.contains(':'))?;
    (path.first() == Some(&b'/')).then(|| Mount {
        device: device.to_owned(),
        path,
        fs_type: String::from_utf8_lossy(fs_type).into_owned(),
        source,
        read_only,
        whole: root == b"/",
    })
}

/// Undoes the writing of blank, tab, newline and backslash as three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'\\'
            && let Some(octal) = after.get(..3)
            && octal.iter().all(|digit| (b'0'..=b'7').contains(digit))
            && let Ok(unescaped) = u8::try_from(octal.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0')))
        {
            path.push(unescaped);
            rest = &after[3..];
        } else {
            path.push(byte);
            rest = after;
        }
    }
    path
}

impl Mount {
    /// As it is reported.
    pub fn name(&self) -> String {
        clean_or(&String::from_utf8_lossy(&self.path), limits::TEXT, "/")
    }

    /// Gives the pool of a ZFS dataset: all of its datasets share what is free.
    pub fn pool(&self) -> Option<&[u8]> {
        (self.fs_type == "zfs").then(|| self.source.split(|&byte| byte == b'/').next().unwrap_or_default())
    }
}

/// Which mount points fstab(5) wants to be written to.
#[derive(Debug, Default)]
pub struct Fstab(HashMap<Vec<u8>, bool>);

impl Fstab {
    pub fn parse(text: &[u8]) -> Self {
        let lines = text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#"));
        Self(lines.filter_map(fstab_line).collect())
    }

    /// Tells whether it names this mount point, and not as read-only.
    pub fn wants_writable(&self, path: &[u8]) -> bool {
        self.0.get(path).copied().unwrap_or(false)
    }
}

fn fstab_line(line: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let path = unescape(fields.nth(1)?);
    let options = fields.nth(1)?;
    Some((path, !options.split(|&byte| byte == b',').any(|option| option == b"ro")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Debian 12 in a VM with an NFS home, a bind mount, a sandbox's view (everything `ro`), a failed disk and snaps.
    const DEBIAN: &str = "\
22 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw
23 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
24 28 0:5 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=1990164k,nr_inodes=497541,mode=755,inode64
26 28 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=402616k,mode=755,inode64
28 1 8:1 / / ro,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
30 28 8:15 / /boot/efi ro,relatime shared:30 - vfat /dev/sda15 rw,fmask=0022
31 28 254:0 / /srv/data\\040disk ro,noatime shared:31 - xfs /dev/mapper/vg0-data rw,attr2,inode64
32 28 8:1 /var/lib/app /srv/app ro,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
33 28 8:32 / /mnt/failed rw,relatime shared:33 - ext4 /dev/sdc ro,errors=remount-ro
34 28 0:50 / /home rw,relatime shared:34 - nfs4 nas:/home rw,vers=4.2,addr=10.0.0.9
35 28 0:51 / /mnt/share rw,relatime shared:35 - cifs //nas/share rw,vers=3.0
36 28 0:52 / /mnt/ssh rw,relatime shared:36 - fuse.sshfs user@host:/ rw
37 28 0:53 / /net rw,relatime shared:37 - autofs systemd-1 rw,fd=30
38 28 0:54 / /mnt/host rw,relatime - 9p hostshare rw,trans=virtio
39 28 0:55 / /mnt/ceph rw,relatime - ceph mon:/ rw
40 28 7:0 / /snap/core/1 ro,nodev,relatime shared:40 - squashfs /dev/loop0 ro
41 28 0:56 / /var/lib/docker/overlay2/x/merged rw,relatime - overlay overlay rw,lowerdir=/a
42 28 0:57 /@ /mnt/btrfs rw,relatime shared:42 - btrfs /dev/sdd rw,subvol=/@
43 28 0:57 /@home /mnt/btrfs/home rw,relatime shared:43 - btrfs /dev/sdd rw,subvol=/@home
44 28 8:48 / /mnt/usb rw,relatime shared:44 - fuseblk /dev/sdd1 rw,user_id=0
";

    fn paths(text: &[u8]) -> Vec<String> {
        filesystems(text).iter().map(|mount| String::from_utf8_lossy(&mount.path).into_owned()).collect()
    }

    #[test]
    fn each_local_filesystem_is_found_once_and_nothing_pseudo_or_remote() {
        assert_eq!(paths(DEBIAN.as_bytes()), ["/", "/boot/efi", "/mnt/btrfs", "/mnt/failed", "/mnt/usb", "/srv/data disk"]);
    }

    #[test]
    fn read_only_is_the_superblocks_word_not_the_sandboxs() {
        let read_only: Vec<_> =
            filesystems(DEBIAN.as_bytes()).into_iter().filter(|mount| mount.read_only).map(|mount| mount.path).collect();
        assert_eq!(read_only, [b"/mnt/failed"]);
    }

    #[test]
    fn a_bind_mount_that_comes_first_gives_way_to_the_whole_filesystem() {
        let text = "1 0 8:1 /sub /a rw - ext4 /dev/sda1 rw\n2 0 8:1 / /much/longer/path rw - ext4 /dev/sda1 rw\n";
        assert_eq!(paths(text.as_bytes()), ["/much/longer/path"]);
    }

    #[test]
    fn what_a_later_mount_covers_is_not_asked_for() {
        let text = "1 0 8:1 / / rw - ext4 a rw\n2 1 8:2 / /home rw - ext4 b rw\n3 1 8:3 / /data/disk rw - ext4 c rw\n\
                    4 2 0:9 / /home rw - nfs4 nas:/ rw\n5 1 0:10 / /data rw - nfs4 nas:/ rw\n6 1 8:4 / /homework rw - ext4 d rw\n";
        assert_eq!(paths(text.as_bytes()), ["/", "/homework"]);
    }

    #[test]
    fn a_containers_root_is_its_disk() {
        let text = "1 0 0:40 / / rw - overlay overlay rw\n2 1 8:1 /x /etc/hosts rw - ext4 /dev/sda1 rw\n";
        assert_eq!(paths(text.as_bytes()), ["/"]);
    }

    #[test]
    fn every_fuse_that_is_not_known_to_be_local_is_left_alone() {
        for fs_type in ["fuse.rclone", "fuse.s3fs", "fuse.glusterfs", "fuse", "fuse.unknown"] {
            assert!(paths(format!("1 0 0:9 / /x rw - {fs_type} x rw").as_bytes()).is_empty(), "{fs_type}");
        }
    }

    #[test]
    fn octal_escapes_are_undone_and_odd_ones_left() {
        assert_eq!(unescape(br"/a\040b\011c\012d\134e"), b"/a b\tc\nd\\e");
        assert_eq!(unescape(br"/a\9\0\08\777\"), br"/a\9\0\08\777\");
    }

    #[test]
    fn hostile_lines_never_panic_and_names_fit_the_contract() {
        let line = b"28 1 8:1 / /mnt/\xff\xfe\\012\\033<b>&\xf0\x9f\x92\xa9 rw shared:1 - ext4 /dev/sda1 rw,errors=remount-ro";
        for cut in 0..line.len() {
            filesystems(&line[..cut]);
            let mut broken = line.to_vec();
            broken[cut] = b' ';
            filesystems(&broken);
            broken[cut] = b'\\';
            filesystems(&broken);
        }
        let mount = &filesystems(line)[0];
        let text = mount.name();
        assert!(text.chars().all(|character| !character.is_control()), "{text:?}");
        assert!(text.contains("<b>&💩"));
        let long = format!("1 0 8:1 / /{} rw - ext4 /dev/sda1 rw", "é".repeat(4096));
        assert!(filesystems(long.as_bytes())[0].name().len() <= limits::TEXT);
    }

    #[test]
    fn what_is_mounted_on_a_container_runtimes_folder_is_a_disk_and_what_lies_below_is_not() {
        let text = "1 0 8:1 / / rw - ext4 a rw\n2 1 7:0 / /var/lib/docker rw - ext4 b rw\n\
                    3 2 7:1 / /var/lib/docker/volumes/x rw - ext4 c rw\n4 1 7:2 / /var/lib/kubelet rw - xfs d rw\n\
                    5 4 7:3 / /var/lib/kubelet/pods/x rw - ext4 e rw\n6 1 7:4 / /run/media/anna/USB rw - vfat f rw\n\
                    7 1 7:5 / /run/netns rw - ext4 g rw\n8 1 7:6 / /var/lib/containers rw - btrfs h rw\n";
        assert_eq!(
            paths(text.as_bytes()),
            ["/", "/run/media/anna/USB", "/var/lib/containers", "/var/lib/docker", "/var/lib/kubelet"]
        );
    }

    #[test]
    fn fstab_says_what_is_to_be_written_to() {
        let fstab = Fstab::parse(
            b"# <file system> ...\nUUID=1 / ext4 errors=remount-ro 0 1\n/dev/sdb /mnt/a\\040b\txfs\tdefaults,ro 0 2\n  #/dev/x /x ext4 rw\n\
              /dev/sdc /srv ext4 defaults\nshort line\n\xff\n",
        );
        let wants = |path: &str| fstab.wants_writable(path.as_bytes());
        assert!(wants("/") && wants("/srv"));
        assert!(!wants("/mnt/a b") && !wants("/x") && !wants("line"));
    }
}
