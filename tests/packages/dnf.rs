//! The .rpm, by dnf from the signed repository. The machine is a Debian with dnf and rpm: what the packages require is on it,
//! and one stub package says so to rpm.

use std::{collections::BTreeSet, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use osm_tests::{
    machine::Machine,
    server::{AGENT, NGINX, Server, listed},
};

use crate::{
    chores,
    refusals::{fetched, refused_with, used},
    repository::{Repository, files},
    site::{self, INSTALLING},
    stubs,
    upgrade::{self, Versions},
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
Provides: systemd = 252 dbus polkit ca-certificates /bin/sh logrotate
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
%preun
systemctl disable --now nginx.service
%postun
systemctl daemon-reload
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_lives_with_the_rpm() -> Result<()> {
    let machine = site::machine_with("bookworm", "rpm-1", &["polkitd", "logrotate", "dnf", "rpm"])?;
    let repository = Repository::as_built()?;
    let mut server = Server { world: site::backend_with(&repository.path()).await?, machine };
    the_system_is_known_to_rpm(&server.machine)?;
    the_script_leaves_it_as_it_was(&server, &repository).await?;
    it_is_installed_by_the_bots_steps(&server).await?;
    server.first_card("rpm-1").await?;
    let verified = server.machine.run(&["rpm", "--verify", "osm-agent"])?;
    assert_eq!((verified.status, verified.stdout.as_str()), (0, ""), "{verified:?}");
    a_service_installed_later_can_be_restarted(&server).await?;
    chores::all(&server).await?;
    upgrade::keeps_everything(&mut server, &Rpms).await?;
    a_service_that_goes_loses_its_grant(&server.machine)?;
    erased_it_stops_and_grants_nothing(&server.machine)?;
    the_script_installs_and_pairs(&server).await?;
    the_backend_is_installed_and_erased(&server.machine)
}

pub fn the_system_is_known_to_rpm(machine: &Machine) -> Result<()> {
    // The C library's symbols by name, as rpm wants them; that none is too new is tests/scripts/released's to say.
    let mut provides = BTreeSet::new();
    for name in ["osm-agent-", "osm-api-"] {
        let package = site::package(&site::packages()?, name, ".rpm")?;
        let requires = Command::new("rpm").args(["--query", "--requires", "--package"]).arg(package).output()?;
        let requires = String::from_utf8(requires.stdout)?;
        let libraries = requires.lines().filter(|line| line.starts_with("lib") || line.starts_with("rtld("));
        provides.extend(libraries.map(|library| format!("Provides: {library}\n")));
    }
    ensure!(!provides.is_empty(), "no libraries");
    let spec = SYSTEM.replace("LIBRARIES\n", &String::from_iter(provides));
    install_from_spec(machine, "a-whole-system", &spec)
}

/// `/install.sh` where it must not install, and where it has installed and cannot pair. The last transaction that dnf knows of is
/// another's.
async fn the_script_leaves_it_as_it_was(server: &Server, repository: &Repository) -> Result<()> {
    let machine = &server.machine;
    machine.ok(&["sed", "-i", "s/^ID=.*/ID=fedora/", "/etc/os-release"])?;
    // Every Fedora has them.
    machine.ok(&["mkdir", "-p", "/etc/pki/rpm-gpg", "/etc/yum.repos.d"])?;
    let install = fetched(server, "rpm-1").await?;
    let before = state(machine)?;
    let refused = |line: &str, why: &str| -> Result<()> {
        refused_with(machine, line, why)?;
        assert_eq!(state(machine)?, before, "{why}");
        Ok(())
    };
    let not_installed = || refused(&install, "osm-agent could not be installed");
    repository.with_another("dnf", &Repository::signed_by_a_key_of_its_own()?.path(), not_installed)?;
    for file in files(&repository.path().join("dnf"), "/repomd.xml")? {
        repository.with_a_bit_flipped(&file, not_installed)?;
    }
    for file in files(&repository.path().join("dnf"), ".rpm")? {
        if file.to_string_lossy().contains("osm-agent-") {
            repository.with_a_bit_flipped(&file, not_installed)?;
        }
    }
    refused(&used(server).await?, "pairing failed: the token was not accepted")
}

async fn the_script_installs_and_pairs(server: &Server) -> Result<()> {
    // What an erased package leaves is root's to remove.
    server.machine.ok(&["rm", "-r", "/var/lib/osm-agent"])?;
    let printed = site::run_ok(&server.machine, &[fetched(server, "rpm-2").await?])?;
    ensure!(printed.contains("Fingerprint of this agent's key"), "{printed}");
    server.first_card("rpm-2").await?;
    Ok(())
}

/// Packages, the keys that rpm trusts, accounts, and files of ours.
fn state(machine: &Machine) -> Result<String> {
    let look = "rpm --query --all | sort; getent passwd; find / -path /proc -prune -o -path /sys -prune -o -path /root -prune -o \
                -path '/var/log/*' -prune -o -path /run/osm-install.lock -o -name '*osm-*' -print";
    machine.ok(&["sh", "-c", look])
}

fn the_backend_is_installed_and_erased(machine: &Machine) -> Result<()> {
    // From a file, as README.md says: of the repository nothing but osm-agent is taken.
    let package = site::package(&site::packages()?, "osm-api-", ".rpm")?;
    machine.copy_in(&package, "/root/osm-api.rpm", 0o644)?;
    dnf(machine, &["install", "/root/osm-api.rpm"])?;
    let verified = machine.run(&["rpm", "--verify", "osm-api"])?;
    assert_eq!((verified.status, verified.stdout.as_str()), (0, ""), "{verified:?}");
    // It has no bot's token yet.
    assert_eq!(machine.run(&["systemctl", "is-enabled", "osm-api.service"])?.stdout, "disabled\n");
    machine.ok(&["systemctl", "start", "osm-api.service"])?;
    assert_eq!(machine.unit_property("osm-api.service", "ConditionResult")?, "no");
    assert_eq!(machine.ok(&["stat", "-c", "%U %a", "/var/lib/osm-api"])?, "osm-api 700\n");
    dnf(machine, &["remove", "osm-api"])?;
    assert_ne!(machine.run(&["test", "-e", "/usr/bin/osm-api"])?.status, 0);
    assert_eq!(machine.ok(&["systemctl", "list-units", "--failed", "--plain", "--no-legend"])?, "");
    Ok(())
}

async fn it_is_installed_by_the_bots_steps(server: &Server) -> Result<()> {
    let machine = &server.machine;
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
    server.offers(NGINX).await?;
    let before = server.main_pid(NGINX)?;
    let question = server.ask_restart(NGINX).await?;
    server.told(&question, "The host says: active (running)").await?;
    assert_ne!(server.main_pid(NGINX)?, before);
    Ok(())
}

struct Rpms;

impl Versions for Rpms {
    fn previous(&self, machine: &Machine) -> Result<()> {
        let previous = site::package(&site::packages()?.join("previous"), "osm-agent-", ".rpm")?;
        machine.copy_in(&previous, "/root/previous.rpm", 0o644)?;
        dnf(machine, &["downgrade", "/root/previous.rpm"])?;
        is_installed(machine, "0.0.9")
    }

    fn next(&self, machine: &Machine) -> Result<()> {
        dnf(machine, &["upgrade", "osm-agent"])?;
        is_installed(machine, env!("CARGO_PKG_VERSION"))
    }

    fn next_from_a_file(&self, machine: &Machine) -> Result<()> {
        let next = site::package(&site::packages()?, "osm-agent-", ".rpm")?;
        machine.copy_in(&next, "/root/next.rpm", 0o644)?;
        dnf(machine, &["--disablerepo=*", "upgrade", "/root/next.rpm"])?;
        is_installed(machine, env!("CARGO_PKG_VERSION"))
    }
}

fn is_installed(machine: &Machine, version: &str) -> Result<()> {
    let found = machine.ok(&["rpm", "--query", "--queryformat", "%{VERSION}-%{RELEASE}", "osm-agent"])?;
    ensure!(found == format!("{version}-1"), "{found}");
    Ok(())
}

/// With the service goes its grant. By rpm's trigger alone, again.
fn a_service_that_goes_loses_its_grant(machine: &Machine) -> Result<()> {
    machine.ok(&["systemctl", "stop", "osm-agent-policy.path"])?;
    dnf(machine, &["remove", "nginx"])?;
    assert!(!listed(machine)?.contains(&NGINX.to_owned()));
    assert!(!machine.ok(&["cat", RULE])?.contains(NGINX));
    machine.ok(&["systemctl", "start", "osm-agent-policy.path"])?;
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

pub fn dnf(machine: &Machine, arguments: &[&str]) -> Result<()> {
    let output = machine.run_within(INSTALLING, &[&["dnf", "--assumeyes"], arguments].concat())?;
    ensure!(output.status == 0, "dnf {arguments:?}: {}\n{}\n{}", output.status, output.stdout, output.stderr);
    Ok(())
}

fn install_from_spec(machine: &Machine, name: &str, spec: &str) -> Result<()> {
    let (_work, rpm) = stubs::rpm_of(name, spec)?;
    let inside = Path::new("/root").join(format!("{name}.rpm"));
    let inside = inside.to_str().unwrap_or_default();
    machine.copy_in(&rpm, inside, 0o644)?;
    dnf(machine, &["install", inside])
}
