//! The agent as a package installs it, on a machine with a real systemd, D-Bus and polkit. Changes that machine: run it as
//! root in a booted throw-away container only (`--ignored`).

mod backend;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use backend::Backend;
use osm_protocol::{
    action::{Action, Outcome, OutcomeKind, Rejection},
    messages::Systemd,
};

fn run(program: &str, arguments: &[&str]) -> Output {
    Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn ok(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

fn place(path: &str, text: impl AsRef<[u8]>, mode: u32) {
    fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn ask(backend: &Backend, unit: &str) -> Outcome {
    let jti = backend.ask(Action::RestartService { unit: unit.to_owned() });
    backend.until(unit, |state| state.outcome(&jti).is_some());
    let outcome = backend.with(|state| state.outcome(&jti).unwrap().clone());
    println!("{unit}: {outcome:?}");
    outcome
}

fn service(exec: &str) -> String {
    format!("[Service]\nExecStart={exec}\n[Install]\nWantedBy=multi-user.target\n")
}

#[test]
#[ignore = "changes the machine: only for a booted throw-away container with nginx"]
fn a_tap_restarts_nginx_and_nothing_that_is_not_listed() {
    assert!(Path::new("/run/systemd/system").is_dir(), "needs a booted systemd");
    let binary = fs::read(env!("CARGO_BIN_EXE_osm-agent")).unwrap();
    place("/usr/bin/osm-agent", binary, 0o755);
    place("/etc/osm-agent/agent.toml", "interval = 5\n[rates]\nrestart_gap_seconds = 0\n", 0o644);
    place("/usr/lib/systemd/system/osm-agent.service", include_str!("../dist/osm-agent.service"), 0o644);
    place("/usr/lib/systemd/system/osm-agent-policy.service", include_str!("../dist/osm-agent-policy.service"), 0o644);
    place("/usr/lib/sysusers.d/osm-agent.conf", include_str!("../dist/osm-agent.sysusers.conf"), 0o644);
    place("/usr/lib/tmpfiles.d/osm-agent.conf", include_str!("../dist/osm-agent.tmpfiles.conf"), 0o644);
    place("/etc/systemd/system/fails.service", service("/bin/false"), 0o644);
    place(
        "/etc/systemd/system/loops.service",
        service("/bin/false").replace("[Install]", "Restart=always\nRestartSec=100ms\n[Install]"),
        0o644,
    );
    place("/etc/systemd/system/own.service", service("/bin/sleep infinity"), 0o644);
    place("/etc/systemd/system/disabled.service", service("/bin/sleep infinity"), 0o644);
    ok("systemd-sysusers", &[]);
    ok("systemd-tmpfiles", &["--create"]);
    ok("systemctl", &["daemon-reload"]);
    run("systemctl", &["enable", "--now", "own", "fails", "loops"]);
    ok("systemctl", &["enable", "osm-agent-policy"]);
    ok("systemctl", &["restart", "osm-agent-policy"]);
    let list = fs::read_to_string("/var/lib/osm-agent-policy/units.json").unwrap();
    println!("{list}\n{}", ok("journalctl", &["-u", "osm-agent-policy", "-o", "cat", "--no-pager"]));
    for (unit, listed) in
        [("nginx", true), ("own", true), ("fails", true), ("disabled", false), ("dbus", false), ("osm-agent", false)]
    {
        assert_eq!(list.contains(&format!("\"{unit}.service\"")), listed, "{unit}: {list}");
    }

    // Root runs the line from the chat; the agent's user gets what it makes.
    let backend = Backend::start();
    let token = backend.with(|state| state.token.text());
    let mut pairing = Command::new("osm-agent");
    let mut pairing = pairing.args(["pair", "--api", &backend.url, "--token-file", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    pairing.stdin.take().unwrap().write_all(token.as_bytes()).unwrap();
    assert!(pairing.wait().unwrap().success());
    ok("runuser", &["-u", "osm-agent", "--", "test", "-O", "/var/lib/osm-agent/state.json"]);
    ok("systemctl", &["enable", "--now", "osm-agent"]);

    backend.until("a second report", |state| state.reports().count() >= 2);
    let report = backend.with(|state| state.reports().last().unwrap().clone());
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
    assert_eq!(report.systemd, Systemd::Available);
    let nginx = report.services.iter().find(|service| service.unit == "nginx.service").unwrap();
    assert!(nginx.restartable && nginx.active_state == "active");
    let fails = report.services.iter().find(|service| service.unit == "fails.service").unwrap();
    assert_eq!((fails.active_state.as_str(), fails.result.as_deref()), ("failed", Some("exit-code")));
    assert!(!report.disks.is_empty() && report.disks.iter().all(|disk| !disk.read_only));

    let pid = || ok("systemctl", &["show", "-P", "MainPID", "nginx"]);
    let before = pid();
    assert_eq!(ask(&backend, "nginx.service").result, OutcomeKind::Succeeded);
    assert_ne!(pid(), before);
    let failed = ask(&backend, "fails.service");
    assert_eq!(failed.result, OutcomeKind::Failed);
    assert!(failed.detail.contains("exit-code, status 1"), "{}", failed.detail);
    assert_eq!(ask(&backend, "loops.service").result, OutcomeKind::Failed);
    assert_eq!(ask(&backend, "disabled.service").reason, Some(Rejection::UnitNotListed));
    assert_eq!(ask(&backend, "osm-agent.service").reason, Some(Rejection::UnitNotListed));

    // The list promises what polkit does not grant: polkit has the last word.
    let granted = fs::read_to_string("/etc/polkit-1/rules.d/50-osm-agent.rules").unwrap();
    place("/etc/polkit-1/rules.d/50-osm-agent.rules", granted.replace("\"own.service\"", "\"other.service\""), 0o644);
    thread::sleep(Duration::from_secs(2));
    let denied = ask(&backend, "own.service");
    assert_eq!((denied.result, denied.reason), (OutcomeKind::Rejected, Some(Rejection::Unsupported)));
    println!("{}", ok("osm-agent", &["policy", "deny", "nginx"]));
    assert_eq!(ask(&backend, "nginx.service").reason, Some(Rejection::UnitNotListed));

    println!("{}\n{}\n{}", ok("osm-agent", &["doctor"]), ok("osm-agent", &["status"]), ok("osm-agent", &["services"]));
    println!("{}", ok("systemctl", &["status", "--no-pager", "-l", "osm-agent"]));
    // A broken system bus is said, and the reports go on.
    run("systemctl", &["stop", "dbus.socket", "dbus.service"]);
    backend.until("a report without the bus", |state| {
        state.reports().last().is_some_and(|report| report.systemd == Systemd::Unreachable)
    });
    run("systemctl", &["start", "dbus.socket", "dbus.service"]);
    backend.until("a report with the bus", |state| {
        state.reports().last().is_some_and(|report| report.systemd == Systemd::Available)
    });

    let main = ok("systemctl", &["show", "-P", "MainPID", "osm-agent"]);
    let main = main.trim();
    let cpu = |fields: &str| {
        fields
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum::<u64>()
    };
    let stat = || cpu(&fs::read_to_string(format!("/proc/{main}/stat")).unwrap());
    let before = stat();
    thread::sleep(Duration::from_secs(30));
    let pss = fs::read_to_string(format!("/proc/{main}/smaps_rollup")).unwrap();
    println!(
        "{}; CPU ticks (10 ms) in 30 s at an interval of 5 s: {}",
        pss.lines().find(|line| line.starts_with("Pss:")).unwrap(),
        stat() - before
    );
    ok("systemctl", &["stop", "osm-agent"]);
    println!("{}", ok("journalctl", &["-u", "osm-agent", "-o", "cat", "--no-pager"]));
    assert_eq!(ok("systemctl", &["show", "-P", "Result", "osm-agent"]).trim(), "success");
}
