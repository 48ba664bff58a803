//! A Debian server's life with the agent: installed, paired, watched and repaired, upgraded, removed, purged.

use anyhow::{Context, Result, ensure};
use osm_tests::{
    machine::Machine,
    server::{AGENT, NGINX, Server, listed},
};

use crate::{
    attacks, chores,
    site::{self, apt, free_port, lines, run_ok},
    upgrade::{self, Versions},
};

const RULE: &str = "/etc/polkit-1/rules.d/50-osm-agent.rules";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_lives_on_debian_12() -> Result<()> {
    a_server_lives("bookworm", "web-12").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_lives_on_debian_13() -> Result<()> {
    a_server_lives("trixie", "web-13").await
}

/// One machine for all of it: booting and downloading cost more than what is done with it.
async fn a_server_lives(suite: &str, name: &str) -> Result<()> {
    let mut server = Server { world: site::backend().await?, machine: site::machine(suite, name)? };
    if suite == "bookworm" {
        let steps = lines(&server.world, name, Some("Debian / Ubuntu")).await?;
        let (pair, install) = steps.split_last().context("no steps")?;
        run_ok(&server.machine, install)?;
        it_idles_and_says_how_to_pair(&server)?;
        pairing_starts_it(&server, name, pair).await?;
    } else {
        let printed = run_ok(&server.machine, &lines(&server.world, name, None).await?)?;
        assert!(printed.contains("osm-install.sh: OK") && printed.contains("Fingerprint of this agent's key"), "{printed}");
        server.first_card(name).await?;
    }
    what_is_installed_is_as_it_was_packed(&server.machine)?;
    a_web_server_installed_later_can_be_restarted(&server).await?;
    a_service_of_the_administrators_own_is_listed(&server)?;
    twenty_restarts_leave_it_alive(&server).await?;
    chores::all(&server).await?;
    attacks::all(&server.machine)?;
    upgrade::keeps_everything(&mut server, &Debs).await?;
    a_web_server_that_goes_loses_its_grant(&server.machine)?;
    removed_it_stops_and_grants_nothing(&server.machine)?;
    purged_nothing_is_left(&server.machine)
}

fn it_idles_and_says_how_to_pair(server: &Server) -> Result<()> {
    let machine = &server.machine;
    server.wait_for("running service", || Ok((machine.unit_property(AGENT, "ActiveState")? == "active").then_some(())))?;
    for unit in [AGENT, "osm-agent-policy.service", "osm-agent-policy.path", "osm-agent-policy.timer"] {
        assert_eq!(machine.ok(&["systemctl", "is-enabled", unit])?, "enabled\n", "{unit}");
    }
    // The journal is cleaned, and logs are rotated, when somebody asks for it.
    for unit in ["osm-agent-journal.service", "osm-agent-logrotate.service"] {
        assert_eq!(machine.unit_property(unit, "ExecMainStartTimestampMonotonic")?, "0", "{unit} has run");
    }
    for said in [machine.ok(&["systemctl", "status", "--no-pager", AGENT])?, machine.ok(&["osm-agent", "status"])?] {
        assert!(said.contains("/add_server"), "{said}");
    }
    assert!(machine.ok(&["cat", RULE])?.contains("ssh.service") == listed(machine)?.contains(&"ssh.service".to_owned()));
    assert!(!listed(machine)?.contains(&"ssh.service".to_owned()), "ssh is listed only by root's own word");
    Ok(())
}

async fn pairing_starts_it(server: &Server, name: &str, line: &String) -> Result<()> {
    let pid = server.main_pid(AGENT)?;
    run_ok(&server.machine, std::slice::from_ref(line))?;
    let card = server.first_card(name).await?;
    assert!(card.plain.contains("Debian GNU/Linux"), "{}", card.plain);
    assert_eq!(server.main_pid(AGENT)?, pid, "nobody has started anything");
    Ok(())
}

fn what_is_installed_is_as_it_was_packed(machine: &Machine) -> Result<()> {
    assert_eq!(machine.ok(&["dpkg", "--verify", "osm-agent"])?, "");
    for (shell, completions) in [
        ("bash", "/usr/share/bash-completion/completions/osm-agent"),
        ("zsh", "/usr/share/zsh/vendor-completions/_osm-agent"),
        ("fish", "/usr/share/fish/vendor_completions.d/osm-agent.fish"),
    ] {
        let printed = machine.ok(&["osm-agent", "completions", shell])?;
        assert_eq!(machine.ok(&["cat", completions])?, printed, "{completions}");
    }
    machine.ok(&["test", "-s", "/usr/share/man/man8/osm-agent.8.gz"])?;
    Ok(())
}

/// Nobody does anything but `apt install nginx`. The path unit would see it too: what is tried is dpkg's trigger.
async fn a_web_server_installed_later_can_be_restarted(server: &Server) -> Result<()> {
    let machine = &server.machine;
    let site = format!("server {{ listen 127.0.0.1:{}; server_name localhost; return 204; }}\n", free_port()?);
    machine.write("/etc/nginx/sites-available/default", site, 0o644, "root")?;
    machine.ok(&["systemctl", "stop", "osm-agent-policy.path"])?;
    apt(machine, &["install", "nginx"])?;
    assert!(listed(machine)?.contains(&NGINX.to_owned()));
    machine.ok(&["systemctl", "start", "osm-agent-policy.path"])?;
    assert!(machine.ok(&["cat", RULE])?.contains(NGINX));
    // Reports have their own pace, and `interval` is at its default.
    server.configure("interval = 5")?;
    machine.ok(&["systemctl", "restart", AGENT])?;
    server.offers(NGINX).await?;
    let before = server.main_pid(NGINX)?;
    let question = server.ask_restart(NGINX).await?;
    let told = server.told(&question, "Done").await?;
    assert!(told.contains("The host says: active (running)"), "{told}");
    assert_ne!(server.main_pid(NGINX)?, before);
    Ok(())
}

/// By the path unit alone: no package brings it. And whatever no trigger has seen, the timer has within the hour.
fn a_service_of_the_administrators_own_is_listed(server: &Server) -> Result<()> {
    const OWN: &str = "own-app.service";
    let machine = &server.machine;
    let unit = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n";
    machine.write(&format!("/etc/systemd/system/{OWN}"), unit, 0o644, "root")?;
    let path = |verb: &str| machine.ok(&["systemctl", verb, "osm-agent-policy.path"]);
    // systemd may forget a change that a daemon-reload follows, as `enable` does: what is tried comes after.
    path("stop")?;
    machine.ok(&["systemctl", "--quiet", "enable", "--now", OWN])?;
    path("start")?;
    machine.ok(&["touch", &format!("/etc/systemd/system/{OWN}")])?;
    let list_and_rule_have_it =
        || anyhow::Ok([listed(machine)?.contains(&OWN.to_owned()), machine.ok(&["cat", RULE])?.contains(OWN)]);
    server.wait_for("grant", || Ok((list_and_rule_have_it()? == [true; 2]).then_some(())))?;
    path("stop")?;
    let policy = "osm-agent-policy.service";
    server.wait_for("rest", || Ok((machine.unit_property(policy, "ActiveState")? == "inactive").then_some(())))?;
    machine.ok(&["systemctl", "--quiet", "disable", "--now", OWN])?;
    assert_eq!(list_and_rule_have_it()?, [true; 2], "nobody has told");
    path("start")?;
    machine.ok(&["rm", &format!("/etc/systemd/system/{OWN}")])?;
    server.wait_for("end of the grant", || Ok((list_and_rule_have_it()? == [false; 2]).then_some(())))?;

    let timer = "osm-agent-policy.timer";
    assert_eq!(machine.unit_property(timer, "Triggers")?, policy);
    let next = machine.unit_property(timer, "NextElapseUSecRealtime")?;
    ensure!(next.contains("20"), "{timer} does not elapse: {next:?}");
    Ok(())
}

/// By the host's own rates: a stolen backend could send that many.
async fn twenty_restarts_leave_it_alive(server: &Server) -> Result<()> {
    let before = server.starts(NGINX)?;
    for _ in 0..20 {
        server.ask_restart(NGINX).await?;
    }
    server.world.settled(osm_tests::world::SOON).await;
    let restarts = server.starts(NGINX)? - before;
    // The gap is 30 s, and they took a minute or so.
    ensure!(restarts <= 5, "{restarts} of 20 restarts were done");
    assert_eq!(server.machine.unit_property(NGINX, "ActiveState")?, "active");
    let refused = server
        .world
        .sim
        .messages(&server.world.anna)
        .iter()
        .filter(|message| message.plain.contains("at most once in 30 s"))
        .count();
    ensure!(refused + restarts >= 20, "{refused} were refused and {restarts} done");
    Ok(())
}

struct Debs;

impl Versions for Debs {
    fn previous(&self, machine: &Machine) -> Result<()> {
        let previous = site::package(&site::packages()?.join("previous"), "osm-agent_", ".deb")?;
        machine.copy_in(&previous, "/root/previous.deb", 0o644)?;
        apt(machine, &["install", "--allow-downgrades", "/root/previous.deb"])?;
        is_installed(machine, "0.0.9")
    }

    fn next(&self, machine: &Machine) -> Result<()> {
        apt(machine, &["install", "osm-agent"])?;
        is_installed(machine, env!("CARGO_PKG_VERSION"))
    }

    fn next_from_a_file(&self, machine: &Machine) -> Result<()> {
        let next = site::package(&site::packages()?, "osm-agent_", ".deb")?;
        machine.copy_in(&next, "/root/next.deb", 0o644)?;
        apt(machine, &["install", "/root/next.deb"])?;
        is_installed(machine, env!("CARGO_PKG_VERSION"))
    }
}

fn is_installed(machine: &Machine, version: &str) -> Result<()> {
    let found = machine.ok(&["dpkg-query", "-W", "osm-agent"])?;
    ensure!(found == format!("osm-agent\t{version}-1\n"), "{found}");
    Ok(())
}

/// With the service goes its grant. By dpkg's trigger alone, again.
fn a_web_server_that_goes_loses_its_grant(machine: &Machine) -> Result<()> {
    machine.ok(&["systemctl", "stop", "osm-agent-policy.path"])?;
    apt(machine, &["purge", "nginx", "nginx-common"])?;
    assert!(!listed(machine)?.contains(&NGINX.to_owned()));
    assert!(!machine.ok(&["cat", RULE])?.contains(NGINX));
    machine.ok(&["systemctl", "start", "osm-agent-policy.path"])?;
    Ok(())
}

fn removed_it_stops_and_grants_nothing(machine: &Machine) -> Result<()> {
    apt(machine, &["remove", "osm-agent"])?;
    assert_eq!(machine.run(&["pgrep", "-u", "osm-agent"])?.stdout, "");
    for gone in [RULE, "/var/lib/osm-agent-policy", "/usr/bin/osm-agent"] {
        assert_ne!(machine.run(&["test", "-e", gone])?.status, 0, "{gone} is left");
    }
    // A package that was only removed may come back.
    machine.ok(&["test", "-e", "/var/lib/osm-agent/state.json"])?;
    machine.ok(&["test", "-e", "/etc/osm-agent/agent.toml"])?;
    Ok(())
}

fn purged_nothing_is_left(machine: &Machine) -> Result<()> {
    apt(machine, &["purge", "osm-agent"])?;
    let found = machine.ok(&[
        "find",
        "/",
        "-path",
        "/proc",
        "-prune",
        "-o",
        "-path",
        "/sys",
        "-prune",
        "-o",
        "-name",
        "*osm-agent*",
        "-print",
    ])?;
    let ours: Vec<_> = found
        .lines()
        // What the administrator added, and what the system writes down about everybody.
        .filter(|path| !path.starts_with("/var/log/") && !path.starts_with("/var/cache/") && !path.starts_with("/var/lib/apt/"))
        .filter(|path| !["/etc/apt/sources.list.d/osm-agent.sources", "/usr/share/keyrings/osm-agent.asc"].contains(path))
        .collect();
    assert!(ours.is_empty(), "left: {ours:?}");
    assert_ne!(machine.run(&["getent", "passwd", "osm-agent"])?.status, 0);
    assert_ne!(machine.run(&["getent", "group", "osm-agent"])?.status, 0);
    assert_eq!(machine.ok(&["systemctl", "list-units", "--failed", "--plain", "--no-legend"])?, "");
    Ok(())
}
