//! Where osm-agent comes from: from one repository, which gives nothing else, and for as long as its signature says (finding 17).

use anyhow::{Context, Result, ensure};
use osm_tests::{machine::Machine, server::Server};

use crate::{
    dnf::{dnf, the_system_is_known_to_rpm},
    refusals::{fetched, refused_with},
    repository::{A_YEAR, Repository},
    site::{self, INSTALLING, apt},
    stubs,
};

const APT_FILES: [&str; 3] =
    ["/usr/share/keyrings/osm-agent.asc", "/etc/apt/sources.list.d/osm-agent.sources", "/etc/apt/preferences.d/osm-agent.pref"];
const DNF_FILES: [&str; 2] = ["/etc/pki/rpm-gpg/RPM-GPG-KEY-osm-agent", "/etc/yum.repos.d/osm-agent.repo"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn osm_agent_comes_from_one_repository_on_debian_11() -> Result<()> {
    osm_agent_comes_from_one_repository("bullseye", "one-11").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn osm_agent_comes_from_one_repository_on_debian_13() -> Result<()> {
    osm_agent_comes_from_one_repository("trixie", "one-13").await
}

async fn osm_agent_comes_from_one_repository(suite: &str, name: &str) -> Result<()> {
    let repository = Repository::with(|packages| stubs::deb(packages, "bash", "99"))?;
    let server = Server { world: site::backend_with(&repository.path()).await?, machine: site::machine(suite, name)? };
    let machine = &server.machine;
    let install = fetched(&server, name).await?;
    apt_refuses_what_has_run_out(machine, &repository, &install)?;
    stubs::another_apt(machine, "osm-agent", "99")?;
    site::run_ok(machine, &[install])?;
    only_ours_gives_it_and_ours_gives_nothing_else(machine)?;
    not_even_where_ours_is_away(machine)?;
    let before = cat(machine, &APT_FILES)?;
    apt(machine, &["purge", "osm-agent"])?;
    for file in APT_FILES {
        assert_ne!(machine.run(&["test", "-e", file])?.status, 0, "{file} is left");
    }
    apt(machine, &["update"])?;
    apt(machine, &["install", "osm-agent"])?;
    assert_eq!(deb_version(machine)?, "99", "the other repository is one that apt takes it from");
    let install = fetched(&server, name).await?;
    let said = refused_with(machine, &install, "osm-agent 99 is installed")?;
    ensure!(said.contains("none that is as new: remove it"), "{said}");
    apt(machine, &["purge", "osm-agent"])?;

    let steps = site::lines(&server.world, name, Some("Debian / Ubuntu")).await?;
    let (_, add) = steps.split_last().context("no steps")?;
    site::run_ok(machine, add)?;
    assert_eq!(cat(machine, &APT_FILES)?, before, "the long way and the short one meet");
    only_ours_gives_it_and_ours_gives_nothing_else(machine)
}

/// As somebody in between would go on offering it.
fn apt_refuses_what_has_run_out(machine: &Machine, repository: &Repository, install: &str) -> Result<()> {
    repository.sign_and_let_run_out()?;
    let said = refused_with(machine, install, "is expired (invalid since ")?;
    ensure!(said.contains("E: Release file for http://127.0.0.1"), "{said}");
    repository.sign(A_YEAR)
}

fn only_ours_gives_it_and_ours_gives_nothing_else(machine: &Machine) -> Result<()> {
    assert_eq!(deb_version(machine)?, format!("{}-1", env!("CARGO_PKG_VERSION")));
    let upgrades = apt(machine, &["--simulate", "dist-upgrade"])?;
    ensure!(!upgrades.lines().any(|line| line.starts_with("Inst osm-agent ") || line.starts_with("Inst bash ")), "{upgrades}");
    for (package, candidate) in [("osm-agent", format!("{}-1", env!("CARGO_PKG_VERSION"))), ("osm-api", "(none)".to_owned())] {
        let policy = machine.ok(&["apt-cache", "policy", package])?;
        ensure!(policy.contains(&format!("Candidate: {candidate}\n")), "{policy}");
    }
    let policy = machine.ok(&["apt-cache", "policy", "bash"])?;
    ensure!(policy.contains("     99 -1\n") && !policy.contains("Candidate: 99"), "{policy}");
    Ok(())
}

fn not_even_where_ours_is_away(machine: &Machine) -> Result<()> {
    let [_, source, _] = APT_FILES;
    machine.ok(&["mv", source, "/root/source"])?;
    apt(machine, &["update"])?;
    let upgrades = apt(machine, &["--simulate", "dist-upgrade"])?;
    ensure!(!upgrades.contains("Inst osm-agent "), "{upgrades}");
    machine.ok(&["mv", "/root/source", source])?;
    apt(machine, &["update"])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn osm_agent_comes_from_one_repository_by_dnf() -> Result<()> {
    let repository = Repository::with(|packages| stubs::rpm(packages, "another-shell", "99"))?;
    let machine = site::machine_with("bookworm", "one-rpm", &["polkitd", "logrotate", "dnf", "rpm"])?;
    let server = Server { world: site::backend_with(&repository.path()).await?, machine };
    let machine = &server.machine;
    the_system_is_known_to_rpm(machine)?;
    machine.ok(&["sed", "-i", "s/^ID=.*/ID=fedora/", "/etc/os-release"])?;
    machine.ok(&["mkdir", "-p", "/etc/pki/rpm-gpg", "/etc/yum.repos.d"])?;
    // As RHEL ships it.
    machine.write("/etc/dnf/dnf.conf", "[main]\ngpgcheck=1\nbest=True\nskip_if_unavailable=False\n", 0o644, "root")?;
    let install = fetched(&server, "one-rpm").await?;
    dnf_refuses_what_has_run_out(machine, &repository, &install)?;
    stubs::another_dnf(machine, "osm-agent", "99")?;
    site::run_ok(machine, &[install])?;
    dnf_takes_it_from_ours_and_nothing_else(machine)?;
    what_runs_out_keeps_nothing_else_from_being_installed(machine, &repository)?;

    let before = cat(machine, &DNF_FILES)?;
    dnf(machine, &["remove", "osm-agent"])?;
    machine.ok(&[&["rm"], &DNF_FILES[..]].concat())?;
    dnf(machine, &["install", "osm-agent"])?;
    assert_eq!(rpm_version(machine)?, "99-1", "the other repository is one that dnf takes it from");
    let install = fetched(&server, "one-rpm").await?;
    refused_with(machine, &install, "osm-agent 99-1 is installed")?;
    dnf(machine, &["remove", "osm-agent"])?;

    let steps = site::lines(&server.world, "one-rpm", Some("Fedora / RHEL")).await?;
    let (_, add) = steps.split_last().context("no steps")?;
    site::run_ok(machine, add)?;
    assert_eq!(cat(machine, &DNF_FILES)?, before, "the long way and the short one meet");
    dnf_takes_it_from_ours_and_nothing_else(machine)
}

fn dnf_refuses_what_has_run_out(machine: &Machine, repository: &Repository, install: &str) -> Result<()> {
    repository.sign_and_let_run_out()?;
    refused_with(machine, install, "repomd.xml GPG signature verification error: Bad GPG signature")?;
    repository.sign(A_YEAR)
}

fn dnf_takes_it_from_ours_and_nothing_else(machine: &Machine) -> Result<()> {
    let ours = format!("{}-1", env!("CARGO_PKG_VERSION"));
    assert_eq!(rpm_version(machine)?, ours);
    dnf(machine, &["--refresh", "upgrade"])?;
    assert_eq!(rpm_version(machine)?, ours);
    let output = machine.run_within(INSTALLING, &["dnf", "--assumeyes", "install", "another-shell"])?;
    ensure!(output.status != 0 && output.stderr.contains("another-shell"), "{output:?}");
    Ok(())
}

/// An operator forgets: that is no reason why a server should miss its own upgrades.
fn what_runs_out_keeps_nothing_else_from_being_installed(machine: &Machine, repository: &Repository) -> Result<()> {
    repository.sign_and_let_run_out()?;
    let output = machine.run_within(INSTALLING, &["dnf", "--assumeyes", "--refresh", "makecache"])?;
    let said = output.stdout + &output.stderr;
    ensure!(
        output.status == 0 && said.contains("Bad GPG signature") && said.contains("Ignoring repositories: osm-agent"),
        "{said}"
    );
    repository.sign(A_YEAR)
}

#[test]
fn repositories_are_good_for_as_long_as_they_are_signed_for() -> Result<()> {
    let repository = Repository::with(|_| Ok(()))?;
    let release = std::fs::read_to_string(repository.path().join("apt/dists/stable/Release"))?;
    let field = |name: &str| release.lines().find_map(|line| line.strip_prefix(name)).context(release.clone());
    let [from, until] = [field("Date: ")?, field("Valid-Until: ")?].map(seconds);
    assert_eq!(until? - from?, i64::from(A_YEAR));
    Ok(())
}

fn seconds(date: &str) -> Result<i64> {
    let said = std::process::Command::new("date").args(["+%s", "--date", date]).output()?;
    Ok(String::from_utf8(said.stdout)?.trim().parse()?)
}

fn deb_version(machine: &Machine) -> Result<String> {
    machine.ok(&["dpkg-query", "--show", "--showformat", "${Version}", "osm-agent"])
}

fn rpm_version(machine: &Machine) -> Result<String> {
    machine.ok(&["rpm", "--query", "--queryformat", "%{VERSION}-%{RELEASE}", "osm-agent"])
}

fn cat(machine: &Machine, files: &[&str]) -> Result<String> {
    machine.ok(&[&["tail", "-n", "+1"], files].concat())
}
