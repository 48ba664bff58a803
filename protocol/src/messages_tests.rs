use super::*;

const NOW: i64 = 1_800_000_000_000;

fn report() -> Report {
    Report {
        at: NOW,
        interval_s: 30,
        boot: "a".repeat(64),
        clock_ahead_ms: 0,
        host: Host {
            hostname: "web-1".to_owned(),
            os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.1.0".to_owned(),
            arch: "x86_64".to_owned(),
            cpus: 2,
            uptime_s: 60,
        },
        cpu: Some(12.5),
        memory: Some(Memory { total: 4, available: 2, swap_total: 0, swap_free: 0 }),
        load: Some(Load { one: 0.5, five: 0.25, fifteen: 0.0 }),
        disks: vec![Disk {
            mount: "/".to_owned(),
            fs_type: "ext4".to_owned(),
            total: 100,
            used: 40,
            available: 55,
            inodes_total: 10,
            inodes_free: 5,
            read_only: false,
            went_read_only: false,
        }],
        systemd: Systemd::Available,
        chores: vec![Chore::Reboot],
        monitored_only: Some("polkit 0.105".to_owned()),
        unread_disks: vec![UnreadDisk { mount: "/mnt".to_owned(), fs_type: "xfs".to_owned(), why: Unread::NoAnswer }],
        disks_left_out: 3,
        commands_unreachable: Some("a long poll is cut".to_owned()),
        services: vec![Service {
            unit: "nginx.service".to_owned(),
            active_state: "active".to_owned(),
            sub_state: "running".to_owned(),
            result: None,
            restartable: true,
            restarts: Some(u32::MAX),
            trouble: Some(Trouble::Down),
            ..Service::default()
        }],
        processes: vec![Process { name: "mysqld".to_owned(), cpu: 187.5, memory: 4 << 30 }],
    }
}

fn refused(change: impl FnOnce(&mut Report)) -> String {
    let mut report = report();
    change(&mut report);
    report.validate(NOW).unwrap_err().field
}

#[test]
fn an_honest_report_passes() {
    assert_eq!(report().validate(NOW), Ok(()));
    assert_eq!(report().validate(NOW + limits::BACKLOG_MS), Ok(()));
}

#[test]
fn what_cannot_be_is_refused_by_field() {
    assert_eq!(refused(|r| r.at = i64::MIN), "at");
    assert_eq!(refused(|r| r.at = NOW + limits::AHEAD_MS + 1), "at");
    assert_eq!(refused(|r| r.at = NOW - limits::BACKLOG_MS - 1), "at");
    assert_eq!(refused(|r| r.interval_s = 0), "interval_s");
    assert_eq!(refused(|r| r.boot = "A".repeat(64)), "boot");
    assert_eq!(refused(|r| r.cpu = Some(f64::NAN)), "cpu");
    assert_eq!(refused(|r| r.cpu = Some(100.1)), "cpu");
    assert_eq!(refused(|r| r.load = Some(Load { one: f64::INFINITY, five: 0.0, fifteen: 0.0 })), "load");
    assert_eq!(refused(|r| r.memory.as_mut().unwrap().available = 5), "memory");
    assert_eq!(refused(|r| r.host.hostname = "web\0".to_owned()), "host.hostname");
    assert_eq!(refused(|r| r.host.hostname = "x".repeat(4096)), "host.hostname");
    assert_eq!(refused(|r| r.host.uptime_s = u64::MAX), "host.uptime_s");
    assert_eq!(refused(|r| r.disks[0].mount = "/a\nb".to_owned()), "disks.mount");
    assert_eq!(refused(|r| r.disks[0].total = u64::MAX), "disks");
    assert_eq!(refused(|r| r.disks = vec![r.disks[0].clone(); 10_000]), "disks");
    assert_eq!(refused(|r| r.services = vec![r.services[0].clone(); 10_000]), "services");
    assert_eq!(refused(|r| r.services[0].unit = "\u{1b}[2J".to_owned()), "services.unit");
    assert_eq!(refused(|r| r.services[0].waits_for = Some("x".repeat(256))), "services.waits_for");
    assert_eq!(refused(|r| r.processes = vec![r.processes[0].clone(); 7]), "processes");
    assert_eq!(refused(|r| r.processes[0].name = "a\nb".to_owned()), "processes.name");
    assert_eq!(refused(|r| r.processes[0].cpu = f64::NAN), "processes.cpu");
    assert_eq!(refused(|r| r.processes[0].memory = u64::MAX), "processes.memory");
}

#[test]
fn the_batch_names_the_report() {
    let mut bad = report();
    bad.cpu = Some(-1.0);
    let batch = ReportBatch { agent_version: "0.1.0".to_owned(), reports: vec![report(), bad] };
    assert_eq!(batch.validate(NOW).unwrap_err().field, "reports[1].cpu");
    assert_eq!(ReportBatch { reports: vec![report(); 129], ..batch }.validate(NOW).unwrap_err().field, "reports");
}

#[test]
fn nan_has_no_json() {
    let json = serde_json::to_string(&report()).unwrap().replace("12.5", "NaN");
    assert!(serde_json::from_str::<Report>(&json).is_err());
}

#[cfg(feature = "server")]
#[test]
fn the_openapi_form_is_the_serde_form() {
    use poem_openapi::types::{ParseFromJSON, ToJSON};
    let batch = ReportBatch { agent_version: "0.1.0".to_owned(), reports: vec![report()] };
    let serde = serde_json::to_value(&batch).unwrap();
    assert_eq!(batch.to_json().unwrap(), serde);
    assert_eq!(ReportBatch::parse_from_json(Some(serde)).unwrap(), batch);
}

/// Finding 18.
#[test]
fn a_pairing_request_is_shown_without_its_token() {
    let Report { host, .. } = report();
    let token = "OSM1-SECRET".to_owned();
    let (agent_key, machine) = ("k".repeat(43), "a".repeat(64));
    let request = PairRequest { token, agent_key, machine, agent_version: "0.1.0".to_owned(), host, replaces: None };
    let shown = format!("{request:?}");
    assert!(shown.contains("web-1") && !shown.contains("SECRET"), "{shown}");
}
