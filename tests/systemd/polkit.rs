//! What the polkit rule that `osm-agent policy apply` writes lets the agent's account do: restart the listed units. The
//! account is tried as a thief would have it, running any program, both from a shell and from inside the agent's own unit.

use std::time::Duration;

use anyhow::Result;
use osm_tests::machine::{Machine, Output};

use crate::installed::{NGINX, install_agent, listed};

const BUSCTL: [&str; 5] =
    ["busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"];
const OTHER_UNIT: &str = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";

#[test]
fn the_rule_grants_one_restart_and_nothing_else_on_debian_12() -> Result<()> {
    the_rule_grants_one_restart_and_nothing_else("bookworm")
}

#[test]
fn the_rule_grants_one_restart_and_nothing_else_on_debian_13() -> Result<()> {
    the_rule_grants_one_restart_and_nothing_else("trixie")
}

/// One machine for all of it: copying a tree costs more than everything that is done with it.
fn the_rule_grants_one_restart_and_nothing_else(suite: &str) -> Result<()> {
    let machine = granted(suite)?;
    the_agents_user_restarts_a_listed_unit(&machine)?;
    the_agents_user_is_refused_everything_else(&machine)?;
    other_users_are_refused_the_restart(&machine)
}

fn the_agents_user_restarts_a_listed_unit(machine: &Machine) -> Result<()> {
    for who in [from_a_shell, from_the_agents_unit] {
        let before = main_pid(machine, "nginx.service")?;
        let output = who(machine, "osm-agent", &manager(&["RestartUnit", "ss", "nginx.service", "replace"]))?;
        assert_eq!(output.status, 0, "{output:?}");
        machine.wait_for("restarted nginx", Duration::from_secs(20), || {
            let active = machine.unit_property("nginx.service", "ActiveState")? == "active";
            let pid = main_pid(machine, "nginx.service")?;
            Ok((active && pid != before && pid != "0").then_some(()))
        })?;
    }
    // A stopped unit too: "restart" is all the agent needs.
    machine.ok(&["systemctl", "stop", "nginx.service"])?;
    let output = from_a_shell(machine, "osm-agent", &["systemctl", "--no-ask-password", "restart", "nginx.service"])?;
    assert_eq!(output.status, 0, "{output:?}");
    assert_eq!(machine.unit_property("nginx.service", "ActiveState")?, "active");
    Ok(())
}

fn the_agents_user_is_refused_everything_else(machine: &Machine) -> Result<()> {
    let pids = || anyhow::Ok((main_pid(machine, "nginx.service")?, main_pid(machine, "other.service")?));
    let before = pids()?;
    for attempt in attempts() {
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

fn other_users_are_refused_the_restart(machine: &Machine) -> Result<()> {
    machine.ok(&["useradd", "stranger"])?;
    let before = main_pid(machine, "nginx.service")?;
    for user in ["stranger", "www-data"] {
        let output = from_a_shell(machine, user, &manager(&["RestartUnit", "ss", "nginx.service", "replace"]))?;
        assert!(refused(&output), "{user}: {output:?}");
    }
    assert_eq!(main_pid(machine, "nginx.service")?, before);
    Ok(())
}

fn attempts() -> Vec<Vec<&'static str>> {
    let mut attempts: Vec<_> = [
        &["RestartUnit", "ss", "other.service", "replace"][..],
        &["StopUnit", "ss", "nginx.service", "replace"],
        &["StartUnit", "ss", "nginx.service", "replace"],
        &["ReloadOrRestartUnit", "ss", "nginx.service", "replace"],
        &["KillUnit", "ssi", "nginx.service", "all", "9"],
        &["EnableUnitFiles", "asbb", "1", "other.service", "false", "false"],
        &["Reload"],
    ]
    .map(manager)
    .to_vec();
    attempts.extend(
        [
            // The way to root where "start" is granted: a new name, and the name that is granted.
            &["systemd-run", "--no-ask-password", "--unit=newname", "touch", "/run/owned"][..],
            &["systemd-run", "--no-ask-password", "--unit=nginx", "touch", "/run/owned"],
            &["systemctl", "--no-ask-password", "--runtime", "set-property", "nginx.service", "TasksMax=5"],
            &["systemctl", "--no-ask-password", "enable", "other.service"],
            &["systemctl", "--no-ask-password", "daemon-reload"],
            &["systemctl", "--no-ask-password", "kill", "--signal=KILL", "nginx.service"],
            &["systemctl", "--no-ask-password", "start", "osm-agent-journal.service"],
            &["systemctl", "--no-ask-password", "poweroff"],
            &["shutdown", "-h", "+60"],
        ]
        .map(<[&str]>::to_vec),
    );
    attempts
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
    let user = format!("--property=User={user}");
    let unit = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--unit=osm-agent.service", &user];
    machine.run(&[&unit[..], &["--property=NoNewPrivileges=yes", "--"], argv].concat())
}

fn manager<'a>(method: &[&'a str]) -> Vec<&'a str> {
    [&BUSCTL[..], method].concat()
}

fn main_pid(machine: &Machine, unit: &str) -> Result<String> {
    machine.unit_property(unit, "MainPID")
}

/// A web server with the agent's account, the rule that grants it nginx, and a unit that is not granted.
fn granted(suite: &str) -> Result<Machine> {
    let machine = osm_tests::web_server::boot(suite, "polkit")?;
    machine.write("/etc/systemd/system/other.service", OTHER_UNIT, 0o644, "root")?;
    install_agent(&machine)?;
    // Its name is taken for what is tried in its place.
    machine.ok(&["rm", "/usr/lib/systemd/system/osm-agent.service"])?;
    machine.ok(&["systemctl", "daemon-reload"])?;
    machine.ok(&["systemctl", "start", "other.service"])?;
    machine.ok(&["systemctl", "start", "osm-agent-policy.service"])?;
    assert_eq!(listed(&machine)?, ["cron.service", NGINX], "the unit that nobody enabled is no service of this server");
    Ok(machine)
}
