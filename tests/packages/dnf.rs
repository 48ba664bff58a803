//! The .rpm, by dnf from the signed repository. The machine is a Debian with dnf and rpm: what the packages require is on it,
//! and one stub package says so to rpm.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use osm_tests::{
    machine::Machine,
    server::{AGENT, NGINX, Server, listed},
};

use crate::{
    chores,
    site::{self, INSTALLING},
};

const RULE: &str = "/etc/polkit-1/rules.d/50-osm-agent.rules";
/// What a Fedora has as packages.
const SYSTEM: &str = "%global _build_id_links none
Name: a-whole-system
Version: 1
Release: 1
Summary: What on this machine did not come as .rpm
License: None
BuildArch: noarch
Provides: systemd dbus polkit ca-certificates /bin/sh logrotate
LIBRARIES
%description
Stub.
%files
";
/// A service that comes as a package; the file trigger of ours is what is tried.
const WEB_SERVER: &str = "Name: nginx
Version: 1
Release: 1
Summary: A service
License: None
BuildArch: noarch
%description
A service.
%install
mkdir -p %{buildroot}/usr/lib/systemd/system
printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' >%{buildroot}/usr/lib/systemd/system/nginx.service
%files
/usr/lib/systemd/system/nginx.service
%post
systemctl daemon-reload
systemctl enable --now nginx.service
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_lives_with_the_rpm() -> Result<()> {
    let machine = site::machine_with("bookworm", "rpm-1", &["polkitd", "logrotate", "dnf", "rpm"])?;
    let server = Server { world: site::backend().await?, machine };
    the_system_is_known_to_rpm(&server.machine)?;
    it_is_installed_by_the_bots_steps(&server).await?;
    server.first_card("rpm-1").await?;
    let verified = server.machine.run(&["rpm", "--verify", "osm-agent"])?;
    assert_eq!((verified.status, verified.stdout.as_str()), (0, ""), "{verified:?}");
    a_service_installed_later_can_be_restarted(&server).await?;
    chores::all(&server).await?;
    an_upgrade_keeps_everything(&server).await?;
    erased_it_stops_and_grants_nothing(&server.machine)
}

fn the_system_is_known_to_rpm(machine: &Machine) -> Result<()> {
    // The C library's symbols by name, as rpm wants them; that none is too new is tests/scripts/released's to say.
    let agent = site::package(&site::packages()?, "osm-agent-", ".rpm")?;
    let requires = Command::new("rpm").args(["--query", "--requires", "--package"]).arg(agent).output()?;
    let requires = String::from_utf8(requires.stdout)?;
    let libraries = requires.lines().filter(|line| line.starts_with("lib") || line.starts_with("rtld("));
    let provides: Vec<_> = libraries.map(|library| format!("Provides: {library}\n")).collect();
    ensure!(!provides.is_empty(), "{requires}");
    let spec = SYSTEM.replace("LIBRARIES\n", &provides.concat());
    install_from_spec(machine, "a-whole-system", &spec)
}

async fn it_is_installed_by_the_bots_steps(server: &Server) -> Result<()> {
    let machine = &server.machine;
    // Every Fedora has them.
    machine.ok(&["mkdir", "-p", "/etc/pki/rpm-gpg", "/etc/yum.repos.d"])?;
    let steps = site::lines(&server.world, "rpm-1", Some("Fedora / RHEL")).await?;
    let (pair, install) = steps.split_last().context("no steps")?;
    site::run_ok(machine, install)?;
    for unit in [AGENT, "osm-agent-policy.service", "osm-agent-policy.path", "osm-agent-policy.timer"] {
        assert_eq!(machine.ok(&["systemctl", "is-enabled", unit])?, "enabled\n", "{unit}");
    }
    assert_eq!(machine.unit_property(AGENT, "ActiveState")?, "active");
    let said = machine.ok(&["systemctl", "status", "--no-pager", AGENT])?;
    assert!(said.contains("/add_server"), "{said}");
    site::run_ok(machine, std::slice::from_ref(pair))?;
    Ok(())
}

async fn a_service_installed_later_can_be_restarted(server: &Server) -> Result<()> {
    server.configure("interval = 5")?;
    server.machine.ok(&["systemctl", "restart", AGENT])?;
    // The path unit would see it too: what is tried is rpm's trigger.
    server.machine.ok(&["systemctl", "stop", "osm-agent-policy.path"])?;
    install_from_spec(&server.machine, "nginx", WEB_SERVER)?;
    assert!(listed(&server.machine)?.contains(&NGINX.to_owned()));
    server.machine.ok(&["systemctl", "start", "osm-agent-policy.path"])?;
    server.card_with("nginx.service · active").await?;
    let before = server.main_pid(NGINX)?;
    let question = server.ask_restart(NGINX).await?;
    server.told(&question, "The host says: active (running)").await?;
    assert_ne!(server.main_pid(NGINX)?, before);
    Ok(())
}

async fn an_upgrade_keeps_everything(server: &Server) -> Result<()> {
    let machine = &server.machine;
    let previous = site::package(&site::packages()?.join("previous"), "osm-agent-", ".rpm")?;
    machine.copy_in(&previous, "/root/previous.rpm", 0o644)?;
    dnf(machine, &["downgrade", "/root/previous.rpm"])?;
    assert!(machine.ok(&["rpm", "--query", "osm-agent"])?.starts_with("osm-agent-0.0.9-1"));
    server.configure("interval = 5\n# kept")?;
    let kept = || machine.ok(&["sha256sum", "/var/lib/osm-agent/state.json", "/etc/osm-agent/agent.toml"]);
    let (before, pid) = (kept()?, server.main_pid(AGENT)?);
    dnf(machine, &["upgrade", "osm-agent"])?;
    assert!(machine.ok(&["rpm", "--query", "osm-agent"])?.starts_with(concat!("osm-agent-", env!("CARGO_PKG_VERSION"), "-1")));
    assert_eq!(kept()?, before);
    assert_ne!(server.main_pid(AGENT)?, pid, "the new program runs");
    server.card_with("online").await?;
    Ok(())
}

/// rpm knows no purge: as with every package, the state stays, and root removes it.
fn erased_it_stops_and_grants_nothing(machine: &Machine) -> Result<()> {
    dnf(machine, &["remove", "osm-agent"])?;
    assert_eq!(machine.run(&["pgrep", "-u", "osm-agent"])?.stdout, "");
    for gone in [RULE, "/var/lib/osm-agent-policy", "/usr/bin/osm-agent"] {
        assert_ne!(machine.run(&["test", "-e", gone])?.status, 0, "{gone} is left");
    }
    machine.ok(&["test", "-e", "/var/lib/osm-agent/state.json"])?;
    assert_eq!(machine.ok(&["systemctl", "list-units", "--failed", "--plain", "--no-legend"])?, "");
    Ok(())
}

fn dnf(machine: &Machine, arguments: &[&str]) -> Result<()> {
    let output = machine.run_within(INSTALLING, &[&["dnf", "--assumeyes"], arguments].concat())?;
    ensure!(output.status == 0, "dnf {arguments:?}: {}\n{}\n{}", output.status, output.stdout, output.stderr);
    Ok(())
}

fn install_from_spec(machine: &Machine, name: &str, spec: &str) -> Result<()> {
    let work = tempfile::tempdir()?;
    fs::write(work.path().join("spec"), spec)?;
    let define = format!("_topdir {}", work.path().display());
    let built = Command::new("rpmbuild").args(["--quiet", "-bb", "--define", &define]).arg(work.path().join("spec")).output()?;
    ensure!(built.status.success(), "rpmbuild: {}", String::from_utf8_lossy(&built.stderr));
    let rpm = site::package(&work.path().join("RPMS/noarch"), name, ".rpm")?;
    let inside = Path::new("/root").join(format!("{name}.rpm"));
    let inside = inside.to_str().unwrap_or_default();
    machine.copy_in(&rpm, inside, 0o644)?;
    dnf(machine, &["install", inside])
}
