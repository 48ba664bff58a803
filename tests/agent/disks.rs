//! Which disks the agent sees, as `report --print` tells them. The kernel's list of mounts is a made one, bound over the agent's
//! own; what lies at its paths is real: folders of a tmpfs, and FUSE filesystems whose server never answers.

use std::collections::BTreeSet;

use osm_protocol::messages::{Report, ReportBatch, Unread};
use osm_tests::process::{Host, in_namespace};

/// Mounts FUSE filesystems that nobody serves, and says so on standard output.
const HANG: &str = r#"
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
for path in sys.argv[1:]:
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = "fd=%d,rootmode=40000,user_id=0,group_id=0" % fd
    if libc.mount(b"hangs", path.encode(), b"fuse", 0, options.encode()):
        sys.exit("%s: %s" % (path, os.strerror(ctypes.get_errno())))
print("mounted", flush=True)
parent = os.getppid()
while os.getppid() == parent:
    time.sleep(0.1)
"#;

/// A line of mountinfo; `number` makes it a filesystem of its own.
fn line(number: usize, path: &str, fs_type: &str, source: &str) -> String {
    format!("{number} 1 250:{number} / {path} rw,relatime shared:1 - {fs_type} {source} rw\n")
}

/// What the agent reports where these mounts are listed, each a folder of a tmpfs over /mnt or /var/lib, after `script`.
fn report(mountinfo: &str, script: &str, wrap: &[&str]) -> Report {
    let host = Host::default();
    let (listed, folders) = (host.path("mountinfo"), host.path("folders"));
    std::fs::write(&listed, mountinfo).unwrap();
    let below = |path: &&str| ["/mnt/", "/var/lib/", "/run/media/"].iter().any(|above| path.starts_with(above));
    let paths: Vec<&str> = mountinfo.lines().filter_map(|line| line.split(' ').nth(4)).filter(below).collect();
    std::fs::write(&folders, paths.join("\n")).unwrap();
    let script = format!(
        "for folder in /mnt /var/lib /run; do mount -t tmpfs none $folder; done; xargs -d '\\n' mkdir -p <{}; {script}; \
         mount --bind {} /proc/$$/mountinfo",
        folders.display(),
        listed.display()
    );
    let mut inner = host.command(&["report", "--print"]);
    if let Some((program, arguments)) = wrap.split_first() {
        let mut outer = osm_tests::process::command(std::path::Path::new(program));
        outer.args(arguments).arg(inner.get_program()).args(inner.get_args());
        for (key, value) in inner.get_envs().filter_map(|(key, value)| Some((key, value?))) {
            outer.env(key, value);
        }
        inner = outer;
    }
    let said = host.output(&mut in_namespace(&inner, &script)).succeeded();
    let batch: ReportBatch = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}:\n{said}"));
    batch.reports.into_iter().next().expect("a report")
}

fn mounts(report: &Report) -> Vec<&str> {
    report.disks.iter().map(|disk| disk.mount.as_str()).collect()
}

#[test]
fn a_filesystem_on_a_container_runtimes_folder_is_a_disk_and_what_it_mounts_below_is_not() {
    let list = [
        line(1, "/", "ext4", "/dev/sda1"),
        line(2, "/var/lib/docker", "ext4", "/dev/sdb1"),
        line(3, "/var/lib/docker/volumes/db/_data", "ext4", "/dev/sdc1"),
        line(4, "/var/lib/containers", "xfs", "/dev/sdd1"),
        line(5, "/run/media/anna/disk", "ext4", "/dev/sde1"),
    ];
    let report = report(&list.concat(), ":", &[]);
    assert_eq!(mounts(&report), ["/", "/run/media/anna/disk", "/var/lib/containers", "/var/lib/docker"]);
    assert_eq!((report.unread_disks.as_slice(), report.disks_left_out), (&[][..], 0));
}

#[test]
fn disks_that_do_not_answer_are_told_as_that_and_hide_no_other() {
    let silent: Vec<String> = (1..=6).map(|number| format!("/mnt/dying{number}")).collect();
    let mut list = line(1, "/", "ext4", "/dev/sda1");
    list.extend(silent.iter().enumerate().map(|(number, path)| line(10 + number, path, "ext4", "/dev/sdx")));
    list += &line(30, "/mnt/well", "ext4", "/dev/sdy");
    // Its output ends the script's wait, so that the report is not made before they hang.
    let script =
        format!("python3 -c '{HANG}' {} >/mnt/said & until grep -q mounted /mnt/said; do sleep 0.05; done", silent.join(" "));
    let report = report(&list, &script, &[]);
    assert_eq!(mounts(&report), ["/", "/mnt/well"]);
    let unread: BTreeSet<_> =
        report.unread_disks.iter().map(|disk| (disk.mount.as_str(), disk.why == Unread::NoAnswer)).collect();
    assert_eq!(unread, silent.iter().map(|path| (path.as_str(), true)).collect());
}

#[test]
fn a_disk_below_a_closed_folder_is_named_as_not_readable() {
    let list = line(1, "/", "ext4", "/dev/sda1") + &line(2, "/mnt/closed/backup", "ext4", "/dev/sdb1");
    // Root without its powers is anybody.
    let report = report(&list, "chmod 0 /mnt/closed", &["setpriv", "--bounding-set", "-all"]);
    assert_eq!(mounts(&report), ["/"]);
    let [disk] = report.unread_disks.as_slice() else { panic!("{:?}", report.unread_disks) };
    assert_eq!((disk.mount.as_str(), disk.why), ("/mnt/closed/backup", Unread::Forbidden));
}

#[test]
fn three_hundred_datasets_of_a_pool_are_one_disk_and_hide_no_other() {
    let mut list = line(1, "/", "ext4", "/dev/sda1") + &line(2, "/mnt/tank", "zfs", "tank");
    list.extend((0..300).map(|number| line(10 + number, &format!("/mnt/tank/d{number}"), "zfs", &format!("tank/d{number}"))));
    list += &line(400, "/mnt/zz", "ext4", "/dev/sdz");
    let report = report(&list, ":", &[]);
    assert_eq!(mounts(&report), ["/", "/mnt/tank", "/mnt/zz"]);
    assert_eq!(report.disks_left_out, 0);
}

#[test]
fn a_disk_that_is_to_be_written_to_and_is_not_went_read_only() {
    let read_only = |number, path: &str| line(number, path, "ext4", "/dev/sdb1").replace(" rw\n", " ro,errors=remount-ro\n");
    let list = line(1, "/", "ext4", "/dev/sda1") + &read_only(2, "/mnt/failed") + &read_only(3, "/mnt/archive");
    let fstab = "/dev/sdb1 /mnt/failed ext4 errors=remount-ro 0 2\\n/dev/sdc1 /mnt/archive ext4 ro 0 2\\n";
    let report = report(&list, &format!("printf '{fstab}' >/mnt/fstab; mount --bind /mnt/fstab /etc/fstab"), &[]);
    let seen: Vec<_> = report.disks.iter().map(|disk| (disk.mount.as_str(), disk.read_only, disk.went_read_only)).collect();
    assert_eq!(seen, [("/", false, false), ("/mnt/archive", true, false), ("/mnt/failed", true, true)]);
}
