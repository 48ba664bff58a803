//! What must fail. The agent's account is tried as a thief would have it, running any program, both from a shell and from
//! inside the agent's own unit; other accounts are tried too.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use osm_tests::{
    machine::{Machine, Output},
    server::{AGENT, NGINX, listed},
};

const BUSCTL: [&str; 5] =
    ["busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
const DROP_IN: &str = "/run/systemd/system/nginx.service.d/attacks.conf";
const UNIT: &str = "/usr/lib/systemd/system/osm-agent.service";
/// Granted too, and not in the list.
const ONESHOTS: [&str; 2] = ["osm-agent-journal.service", "osm-agent-logrotate.service"];
const SLEEPER: &str = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\nAlias=another.service\n";

/// On a server with the agent at work, nginx listed, and ssh there. The server is as before afterwards.
pub fn all(machine: &Machine) -> Result<()> {
    the_sandboxes_score(machine)?;
    other_units_are_there(machine)?;
    // Its name is taken for what is tried in its place.
    machine.ok(&["systemctl", "--quiet", "disable", "--now", AGENT])?;
    machine.ok(&["mv", UNIT, "/root/"])?;
    machine.ok(&["systemctl", "daemon-reload"])?;
    a_listed_unit_is_restarted(machine)?;
    everything_else_is_refused(machine)?;
    outside_of_its_unit_and_sandbox_nothing_is_restarted(machine)?;
    other_users_are_refused(machine)?;
    files_are_out_of_reach(machine)?;
    planted_links_lead_root_nowhere(machine)?;
    machine.ok(&["mv", "/root/osm-agent.service", UNIT])?;
    machine.ok(&["rm", DROP_IN])?;
    machine.ok(&["systemctl", "daemon-reload"])?;
    machine.ok(&["systemctl", "--quiet", "enable", "--now", AGENT])?;
    Ok(())
}

fn the_sandboxes_score(machine: &Machine) -> Result<()> {
    for (unit, limit) in [(AGENT, 1.5), ("osm-agent-journal.service", 1.0)] {
        let exposure = machine.ok(&["systemd-analyze", "--no-pager", "security", unit])?;
        let level =
            exposure.lines().find_map(|line| line.split_once(&format!("exposure level for {unit}: "))).context("no level")?.1;
        println!("systemd-analyze security {unit}: {level}");
        let level: f64 = level.split(' ').next().unwrap_or_default().parse()?;
        assert!(level <= limit, "{exposure}");
    }
    Ok(())
}

/// None of them enabled: what root enables of their own is listed.
fn other_units_are_there(machine: &Machine) -> Result<()> {
    for unit in ["other.service", "worker@.service"] {
        machine.write(&format!("/usr/lib/systemd/system/{unit}"), SLEEPER, 0o644, "root")?;
    }
    machine.ok(&["ln", "-sf", "other.service", "/usr/lib/systemd/system/another.service"])?;
    // Without a mount namespace of its own systemd 257 refuses a bind mount before it asks polkit.
    machine.write(DROP_IN, "[Service]\nPrivateTmp=yes\n", 0o644, "root")?;
    machine.ok(&["systemctl", "daemon-reload"])?;
    machine.ok(&["systemctl", "restart", NGINX])?;
    machine.ok(&["systemctl", "start", "other.service", "worker@1.service", "ssh.service"])?;
    machine.ok(&["osm-agent", "policy", "apply"])?;
    let listed = listed(machine)?;
    ensure!(listed.contains(&NGINX.to_owned()), "{listed:?}");
    for unlisted in ["other.service", "another.service", "worker@1.service", "ssh.service", "dbus.service", "polkit.service"] {
        ensure!(!listed.contains(&unlisted.to_owned()), "{unlisted} is listed");
    }
    Ok(())
}

fn a_listed_unit_is_restarted(machine: &Machine) -> Result<()> {
    for who in [from_a_shell, from_the_agents_unit] {
        let before = main_pid(machine, NGINX)?;
        let output = who(machine, "osm-agent", &restart(NGINX))?;
        assert_eq!(output.status, 0, "{output:?}");
        machine.wait_for("restarted nginx", Duration::from_secs(20), || {
            let active = machine.unit_property(NGINX, "ActiveState")? == "active";
            let pid = main_pid(machine, NGINX)?;
            Ok((active && pid != before && pid != "0").then_some(()))
        })?;
    }
    // A stopped unit too: "restart" is all the agent needs.
    machine.ok(&["systemctl", "stop", NGINX])?;
    let output = from_a_shell(machine, "osm-agent", &["systemctl", "--no-ask-password", "restart", NGINX])?;
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(machine.unit_property(NGINX, "ActiveState")?, "active");
    Ok(())
}

fn everything_else_is_refused(machine: &Machine) -> Result<()> {
    let units = [NGINX, "other.service", "worker@1.service", "ssh.service", "dbus.service", "polkit.service"];
    let pids = || units.iter().map(|unit| main_pid(machine, unit)).collect::<Result<Vec<_>>>();
    let before = pids()?;
    let listed = listed(machine)?;
    let mut attempts = attempts();
    // The way to root where "start" is granted: a new name, and each name that is granted.
    let names = ["newname.service"].into_iter().chain(ONESHOTS).chain(listed.iter().map(String::as_str));
    attempts.extend(names.map(|name| vec!["systemd-run", "--no-ask-password", "--unit", name, "touch", "/run/owned"]));
    for attempt in attempts {
        for who in [from_a_shell, from_the_agents_unit] {
            let output = who(machine, "osm-agent", &attempt)?;
            assert!(refused(&output), "{attempt:?}: {output:?}");
        }
    }
    assert_eq!(pids()?, before);
    assert_ne!(machine.run(&["test", "-e", "/run/owned"])?.status, 0, "a command ran as root");
    assert_eq!(machine.run(&["systemctl", "is-enabled", "other.service"])?.stdout, "disabled\n");
    Ok(())
}

/// Where polkit can see that: from 124 on.
fn outside_of_its_unit_and_sandbox_nothing_is_restarted(machine: &Machine) -> Result<()> {
    let version = machine.ok(&["pkaction", "--version"])?;
    let version: f64 = version.trim().rsplit(' ').next().unwrap_or_default().parse()?;
    if version < 124.0 {
        return Ok(());
    }
    for (unit, sandbox) in [("osm-agent.service", "no"), ("mine.service", "yes")] {
        let output = in_a_unit(machine, unit, sandbox, "osm-agent", &restart(NGINX))?;
        assert!(refused(&output), "in {unit}, NoNewPrivileges={sandbox}: {output:?}");
    }
    Ok(())
}

fn attempts() -> Vec<Vec<&'static str>> {
    // Not listed, by another of its names, an instance that is not listed, and what nobody may ever list.
    let mut attempts: Vec<_> = [
        "other.service",
        "another.service",
        "worker@1.service",
        "worker@2.service",
        "ssh.service",
        "sshd.service",
        "dbus.service",
        "polkit.service",
    ]
    .map(restart)
    .to_vec();
    attempts.extend(
        [
            &["StopUnit", "ss", NGINX, "replace"][..],
            &["StartUnit", "ss", NGINX, "replace"],
            &["ReloadOrRestartUnit", "ss", NGINX, "replace"],
            &["KillUnit", "ssi", NGINX, "all", "9"],
            &["BindMountUnit", "sssbb", NGINX, "/root", "/srv", "false", "true"],
            &["EnableUnitFiles", "asbb", "1", "other.service", "false", "false"],
            &["Reload"],
        ]
        .map(manager),
    );
    attempts.extend(
        [
            &["systemctl", "--no-ask-password", "--runtime", "set-property", NGINX, "TasksMax=5"][..],
            &["systemctl", "--no-ask-password", "enable", "other.service"],
            &["systemctl", "--no-ask-password", "daemon-reload"],
            &["systemctl", "--no-ask-password", "kill", "--signal=KILL", NGINX],
            &["systemctl", "--no-ask-password", "start", "osm-agent-journal.service"],
            &["systemctl", "--no-ask-password", "poweroff"],
            &["shutdown", "-h", "+60"],
        ]
        .map(<[&str]>::to_vec),
    );
    attempts
}

fn other_users_are_refused(machine: &Machine) -> Result<()> {
    machine.ok(&["useradd", "stranger"])?;
    let before = main_pid(machine, NGINX)?;
    for user in ["stranger", "www-data"] {
        let output = from_a_shell(machine, user, &restart(NGINX))?;
        assert!(refused(&output), "{user}: {output:?}");
    }
    assert_eq!(main_pid(machine, NGINX)?, before);
    Ok(())
}

fn files_are_out_of_reach(machine: &Machine) -> Result<()> {
    let written = [
        "/etc/polkit-1/rules.d/50-osm-agent.rules",
        "/etc/polkit-1/rules.d/49-mine.rules",
        "/var/lib/osm-agent-policy/units.json",
        "/etc/osm-agent/agent.toml",
        "/etc/osm-agent/allow.d/other.service",
        "/root/osm-agent.service",
        UNIT,
        "/usr/lib/systemd/system/other.service",
        "/etc/systemd/system/mine.service",
        "/usr/bin/osm-agent",
    ];
    for path in written {
        for who in [from_a_shell, from_the_agents_unit] {
            let output = who(machine, "osm-agent", &["sh", "-c", "echo >>\"$0\"", path])?;
            let reason = ["Permission denied", "Read-only file system", "Directory nonexistent"];
            assert!(output.status != 0 && reason.iter().any(|reason| output.stderr.contains(reason)), "{path}: {output:?}");
        }
    }
    for secret in ["state.json", "ledger.jsonl"] {
        let output = from_a_shell(machine, "stranger", &["cat", &format!("/var/lib/osm-agent/{secret}")])?;
        assert!(output.status != 0 && output.stderr.contains("Permission denied"), "{secret}: {output:?}");
        machine.ok(&["cat", &format!("/var/lib/osm-agent/{secret}")])?;
    }
    Ok(())
}

/// The agent's account owns its state directory, and root runs `osm-agent` in it.
fn planted_links_lead_root_nowhere(machine: &Machine) -> Result<()> {
    const STATE: &str = "/var/lib/osm-agent";
    machine.write("/root/victim", "precious\n", 0o600, "root")?;
    machine.ok(&["cp", "-a", STATE, "/root/state"])?;
    let files = machine.ok(&["find", STATE, "-type", "f", "-printf", "%P\\n"])?;
    let written = ["state.json", "pending.json", "keys.json", "status.json", "ledger.jsonl", "lock", "pair.lock"];
    let beside = written.map(|name| format!(".{name}.new"));
    for name in files.lines().chain(written).chain(beside.iter().map(String::as_str)) {
        machine.ok(&["runuser", "-u", "osm-agent", "--", "ln", "-sfn", "/root/victim", &format!("{STATE}/{name}")])?;
    }
    machine.write("/root/token", "OSM1-AAAA\n", 0o600, "root")?;
    for command in [
        &["status"][..],
        &["services"],
        &["doctor"],
        &["report", "--print"],
        &["pair", "--api", "https://127.0.0.1:1", "--token-file", "/root/token"],
        &["unpair", "--local"],
        &["policy", "apply"],
        &["policy", "deny", "other"],
        &["policy", "allow", "other"],
        &["policy", "deny", "other"],
        &["clean-journal"],
        // Root stays root here, and that folder is not root's: it ends at once.
        &["run"],
    ] {
        // Whether it works is another matter.
        let output = machine.run(&[&["osm-agent"], command].concat())?;
        ensure!(command != ["run"] || output.status == 1 && output.stderr.contains("belongs to"), "{output:?}");
        let victim = machine.ok(&["stat", "-c", "%U:%G %a %F", "/root/victim"])? + &machine.ok(&["cat", "/root/victim"])?;
        assert_eq!(victim, "root:root 600 regular file\nprecious\n", "osm-agent {command:?}");
    }
    machine.ok(&["rm", "-r", STATE])?;
    machine.ok(&["mv", "/root/state", STATE])?;
    Ok(())
}

/// polkit's or systemd's own no; any other failure would prove nothing.
fn refused(output: &Output) -> bool {
    let reasons = ["Interactive authentication required", "Access denied", "Permission denied"];
    output.status != 0 && reasons.iter().any(|reason| output.stderr.contains(reason))
}

fn from_a_shell(machine: &Machine, user: &str, argv: &[&str]) -> Result<Output> {
    machine.as_user(user, argv)
}

/// In a unit of the agent's name and without new privileges, which polkit >= 124 can see.
fn from_the_agents_unit(machine: &Machine, user: &str, argv: &[&str]) -> Result<Output> {
    in_a_unit(machine, "osm-agent.service", "yes", user, argv)
}

fn in_a_unit(machine: &Machine, unit: &str, no_new_privileges: &str, user: &str, argv: &[&str]) -> Result<Output> {
    let properties =
        [format!("--unit={unit}"), format!("--property=User={user}"), format!("--property=NoNewPrivileges={no_new_privileges}")];
    let run = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect"];
    machine.run(&[&run[..], &properties.each_ref().map(String::as_str), &["--"], argv].concat())
}

fn restart(unit: &str) -> Vec<&str> {
    manager(&["RestartUnit", "ss", unit, "replace"])
}

fn manager<'a>(method: &[&'a str]) -> Vec<&'a str> {
    [&BUSCTL[..], method].concat()
}

fn main_pid(machine: &Machine, unit: &str) -> Result<String> {
    machine.unit_property(unit, "MainPID")
}
