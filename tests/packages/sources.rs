//! Where osm-agent comes from: for as long as its signature says (finding 17).

use anyhow::{Context, Result, ensure};
use osm_tests::{machine::Machine, server::Server};

use crate::{
    dnf::the_system_is_known_to_rpm,
    refusals::{fetched, refused_with},
    repository::{A_YEAR, Repository},
    site::{self, INSTALLING},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_has_run_out_is_refused_by_apt() -> Result<()> {
    let repository = Repository::with(|_| Ok(()))?;
    let machine = site::machine("trixie", "over-13")?;
    let server = Server { world: site::backend_with(&repository.path()).await?, machine };
    let install = fetched(&server, "over-13").await?;
    apt_refuses_what_has_run_out(&server.machine, &repository, &install)?;
    site::run_ok(&server.machine, &[install])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_that_has_run_out_is_refused_by_dnf() -> Result<()> {
    let repository = Repository::with(|_| Ok(()))?;
    let machine = site::machine_with("bookworm", "over-rpm", &["polkitd", "logrotate", "dnf", "rpm"])?;
    let server = Server { world: site::backend_with(&repository.path()).await?, machine };
    let machine = &server.machine;
    the_system_is_known_to_rpm(machine)?;
    machine.ok(&["sed", "-i", "s/^ID=.*/ID=fedora/", "/etc/os-release"])?;
    machine.ok(&["mkdir", "-p", "/etc/pki/rpm-gpg", "/etc/yum.repos.d"])?;
    let install = fetched(&server, "over-rpm").await?;
    dnf_refuses_what_has_run_out(machine, &repository, &install)?;
    site::run_ok(machine, &[install])?;
    what_runs_out_keeps_nothing_else_from_being_installed(machine, &repository)
}

/// As somebody in between would go on offering it.
fn apt_refuses_what_has_run_out(machine: &Machine, repository: &Repository, install: &str) -> Result<()> {
    repository.sign_and_let_run_out()?;
    let said = refused_with(machine, install, "is expired (invalid since ")?;
    ensure!(said.contains("E: Release file for http://127.0.0.1"), "{said}");
    repository.sign(A_YEAR)
}

fn dnf_refuses_what_has_run_out(machine: &Machine, repository: &Repository, install: &str) -> Result<()> {
    repository.sign_and_let_run_out()?;
    refused_with(machine, install, "repomd.xml GPG signature verification error: Bad GPG signature")?;
    repository.sign(A_YEAR)
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
