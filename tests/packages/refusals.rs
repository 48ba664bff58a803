//! `/install.sh` where it cannot work: one clear line, and the machine is left as it was.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use osm_tests::{
    agent::Agent,
    machine::{Machine, Output},
    server::{AGENT, Server},
};

use crate::{
    repository::{Repository, files},
    site,
};

const SCRIPT: &str = "/root/osm-install.sh";
const SOURCE: &str = "/etc/apt/sources.list.d/osm-agent.sources";

/// Signed by a key for Ed25519; the other machines have one for RSA.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_says_so_and_changes_nothing() -> Result<()> {
    let repository = Repository::signed_by_a_key_of_its_own()?;
    let world = site::backend_with(&repository.path()).await?;
    let mut server = Server { world, machine: site::machine("trixie", "refused")? };
    let install = fetched(&server, "refused").await?;

    before_anything_is_changed(&server.machine, &install)?;
    a_system_that_is_not_supported(&server.machine, &install)?;
    a_script_that_was_cut_off_does_nothing(&server.machine, &install)?;
    what_is_not_signed_is_not_installed(&server.machine, &repository, &install)?;
    a_used_token_takes_everything_away_again(&server).await?;
    server.world.stop().await?;
    refused(&server.machine, &install, "does not answer")?;
    server.world.start().await?;
    twice_is_as_good_as_once(&server.machine, &install)?;
    a_used_token_leaves_a_paired_machine_alone(&server).await?;
    a_file_with_two_keys_is_refused(server.machine).await
}

/// Runs the bot's first line; gives the second, which installs.
pub async fn fetched(server: &Server, name: &str) -> Result<String> {
    let lines = site::lines(&server.world, name, None).await?;
    let [fetch, install] = &lines[..] else { anyhow::bail!("{lines:?}") };
    site::run_ok(&server.machine, &[format!("cd /root && {fetch}")])?;
    Ok(format!("cd /root && {install}"))
}

fn before_anything_is_changed(machine: &Machine, install: &str) -> Result<()> {
    // The clock is the host's own: what the script asks is made to lie.
    let date = "#!/bin/sh\n[ \"$*\" = +%s ] && exec /usr/bin/date -d '+1 day' +%s\nexec /usr/bin/date \"$@\"\n";
    machine.write("/root/fake/date", date, 0o755, "root")?;
    refused(machine, &as_root(install, "env PATH=/root/fake:/usr/sbin:/usr/bin"), "the clock of this machine is 86")?;
    machine.ok(&["rm", "-r", "/root/fake"])?;

    let wrong = install.replace("--fingerprint ", "--fingerprint 0");
    refused(machine, &wrong, "the key of the packages has the fingerprint")?;
    let elsewhere = install.replace("cd /root && ", "cp /root/osm-install.sh /run/ && cd /run && ");
    refused(machine, &elsewhere.replace("| sudo sh", "| sudo -u nobody sh"), "this needs root")?;
    refused(machine, &install.replace("--token-file -", "--token-file /root/nothing"), "/root/nothing cannot be read")?;
    // Somebody else is at it, here by way of flock(1).
    refused(machine, &as_root(install, "flock /run/osm-install.lock"), "another osm-install (process ")?;
    Ok(())
}

fn a_system_that_is_not_supported(machine: &Machine, install: &str) -> Result<()> {
    let release = machine.ok(&["cat", "/etc/os-release"])?;
    machine.ok(&["mv", "/etc/os-release", "/root/os-release"])?;
    machine.write("/etc/os-release", "ID=arch\n", 0o644, "root")?;
    refused(machine, install, "neither of Debian's nor of Fedora's family")?;
    machine.ok(&["mv", "/root/os-release", "/etc/os-release"])?;
    assert_eq!(machine.ok(&["cat", "/etc/os-release"])?, release);

    refused(machine, &as_root(install, "setarch i686"), "there is no package for this architecture, i686")?;
    let without = "unshare --mount sh -c 'mount -t tmpfs none /run/systemd && exec \"$@\"' sh";
    refused(machine, &as_root(install, without), "this system does not run systemd")?;
    machine.ok(&[
        "sh",
        "-c",
        "mkdir /root/few && ln -s /usr/bin/* /usr/sbin/* /root/few/ 2>&1; rm -f /root/few/curl /root/few/wget",
    ])?;
    refused(machine, &as_root(install, "env PATH=/root/few"), "neither curl nor wget is here")?;
    machine.ok(&["rm", "-r", "/root/few"])?;
    Ok(())
}

/// The line, with the script run by way of another program.
fn as_root(install: &str, by: &str) -> String {
    install.replace("| sudo sh", &format!("| sudo {by} sh"))
}

/// Every hundred bytes, and in the middle of the last line. With all that it would need.
fn a_script_that_was_cut_off_does_nothing(machine: &Machine, install: &str) -> Result<()> {
    let before = state(machine)?;
    let size = machine.ok(&["stat", "-c", "%s", SCRIPT])?;
    let size: usize = size.trim().parse()?;
    ensure!(install.contains(" osm-install.sh "), "{install}");
    let cut = install.replace(" osm-install.sh ", " cut.sh ");
    let loop_over = format!(
        "cd /root; for n in $(seq 0 97 {size}) $(seq $(({size} - 12)) $(({size} - 2))); do head -c $n osm-install.sh >cut.sh; \
         {cut} >>cut.log 2>&1 || true; runs=$((runs + 1)); done; rm cut.sh cut.log; echo $runs runs"
    );
    let output = site::run(machine, &format!("runs=0; {loop_over}"))?;
    assert_eq!(output.stdout, format!("{} runs\n", size / 97 + 12), "{output:?}");
    same(&before, &state(machine)?, "cut off");
    Ok(())
}

/// Whoever has the backend can change what it serves, or sign it anew with a key of theirs.
fn what_is_not_signed_is_not_installed(machine: &Machine, repository: &Repository, install: &str) -> Result<()> {
    // Afterwards apt knows the distribution's packages, and only ours make a difference.
    site::apt(machine, &["update"])?;
    let apt = repository.path().join("apt");
    for file in ["InRelease", "/Packages.gz", "osm-agent_*.deb"] {
        let (start, end) = file.split_once('*').unwrap_or(("", file));
        for file in files(&apt, end)?.iter().filter(|path| path.to_string_lossy().contains(start)) {
            repository.with_a_bit_flipped(file, || refused(machine, install, "osm-agent could not be installed").map(drop))?;
        }
    }
    let another = site::packages()?.join("repository");
    repository.with_another("apt", &another, || refused(machine, install, "osm-agent could not be installed").map(drop))
}

async fn a_used_token_takes_everything_away_again(server: &Server) -> Result<()> {
    let machine = &server.machine;
    let install = used(server).await?;
    // Another backend's, or an earlier try's.
    machine.write(SOURCE, "# an older one\n", 0o644, "root")?;
    let packages = || machine.ok(&["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n"]);
    let (installed, before) = (packages()?, names(machine)?);
    let said = refused_with(machine, &install, "pairing failed: the token was not accepted")?;
    assert!(said.ends_with("; what this run had added was taken away again"), "{said}");
    assert_eq!(packages()?, installed);
    same(&before, &names(machine)?, "used");
    assert_eq!(machine.ok(&["cat", SOURCE])?, "# an older one\n");
    machine.ok(&["rm", SOURCE])?;
    ensure!(ours(machine)?.is_empty(), "left: {}", ours(machine)?);
    assert_ne!(machine.run(&["getent", "passwd", "osm-agent"])?.status, 0);
    Ok(())
}

fn twice_is_as_good_as_once(machine: &Machine, install: &str) -> Result<()> {
    let mut fingerprints = Vec::new();
    for _ in 0..2 {
        let printed = site::run_ok(machine, &[install.to_owned()])?;
        let key =
            printed.lines().find_map(|line| line.strip_prefix("Fingerprint of this agent's key: ")).context(printed.clone())?;
        fingerprints.push(key.to_owned());
        assert_eq!(machine.unit_property(AGENT, "ActiveState")?, "active");
    }
    assert_eq!(fingerprints[0], fingerprints[1]);
    Ok(())
}

async fn a_used_token_leaves_a_paired_machine_alone(server: &Server) -> Result<()> {
    let machine = &server.machine;
    let paired = || machine.ok(&["sha256sum", "/var/lib/osm-agent/state.json", SOURCE, "/usr/share/keyrings/osm-agent.asc"]);
    let before = paired()?;
    refused_with(machine, &used(server).await?, "pairing failed: the token was not accepted")?;
    assert_eq!(paired()?, before);
    assert_eq!(machine.unit_property(AGENT, "ActiveState")?, "active");
    Ok(())
}

/// apt and rpm would trust both.
async fn a_file_with_two_keys_is_refused(machine: Machine) -> Result<()> {
    let (own, another) = (Repository::signed_by_a_key_of_its_own()?, site::packages()?.join("repository"));
    let keys = [own.path(), another].map(|folder| std::fs::read_to_string(folder.join("key.asc")));
    let [own_key, another_key] = keys;
    std::fs::write(own.path().join("key.asc"), own_key? + &another_key?)?;
    let server = Server { world: site::backend_with(&own.path()).await?, machine };
    let install = fetched(&server, "two-keys").await?;
    refused(&server.machine, &install, "has more than one key")?;
    Ok(())
}

/// The line that installs, with a token that another machine has used up.
pub async fn used(server: &Server) -> Result<String> {
    let lines = site::lines(&server.world, "used", None).await?;
    let token = lines[1].split_whitespace().find(|word| word.starts_with("OSM1-")).context("no token")?.to_owned();
    let mut other = Agent::new(&server.world);
    other.pair(&token).await?;
    // The chat is to know one server.
    let unpaired = other.request("POST", "/agent/v1/unpair", None, b"").await?;
    ensure!(unpaired.status < 300, "{}", unpaired.status);
    Ok(format!("cd /root && {}", lines[1]))
}

/// One line on standard error, and no trace.
fn refused(machine: &Machine, line: &str, why: &str) -> Result<String> {
    let before = state(machine)?;
    let said = refused_with(machine, line, why)?;
    same(&before, &state(machine)?, why);
    Ok(said)
}

pub fn refused_with(machine: &Machine, line: &str, why: &str) -> Result<String> {
    let output: Output = site::run(machine, line)?;
    assert_eq!(output.status, 1, "{output:?}");
    let said: Vec<_> = output.stderr.lines().collect();
    assert!(said.len() == 1 && said[0].starts_with("osm-install: ") && said[0].contains(why), "{why}: {output:?}");
    let token = line.split_whitespace().find(|word| word.starts_with("OSM1-")).context("no token")?;
    assert!(!format!("{output:?}").contains(token), "{output:?}");
    Ok(said[0].to_owned())
}

#[track_caller]
fn same(before: &BTreeSet<String>, after: &BTreeSet<String>, why: &str) {
    let changed: Vec<_> = before.symmetric_difference(after).collect();
    assert!(changed.is_empty(), "{why}: {changed:#?}");
}

/// All of the system's files by name, size and time; packages, users.
fn state(machine: &Machine) -> Result<BTreeSet<String>> {
    files_as(machine, "%p %s %T@\\n")
}

/// Files without times, and without what apt and dpkg note: both are new where a package came and went. Accounts by name,
/// but polkitd's, which Debian's package leaves when it is purged.
fn names(machine: &Machine) -> Result<BTreeSet<String>> {
    let noted = ["/var/lib/dpkg/", "/var/lib/apt/extended_states", "/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow"];
    let mut names = files_as(machine, "%p %s\\n")?;
    names.retain(|file| !noted.iter().any(|noted| file.starts_with(noted)));
    let accounts = machine.ok(&["getent", "passwd"])? + &machine.ok(&["getent", "group"])?;
    names.extend(accounts.lines().filter(|account| !account.starts_with("polkitd:")).map(str::to_owned));
    Ok(names)
}

fn files_as(machine: &Machine, format: &str) -> Result<BTreeSet<String>> {
    let find = ["find", "/etc", "/usr", "/var/lib", "/var/tmp", "/tmp", "/root", "-xdev", "-type", "f", "-printf", format];
    // The test's own, what systemd writes by its own time, and what apt keeps of the distribution.
    let others = ["/root/", "/var/lib/systemd/"];
    let files = machine.ok(&find)?;
    let files = files
        .lines()
        .filter(|file| !others.iter().any(|other| file.starts_with(other)))
        .filter(|file| !file.starts_with("/var/lib/apt/lists/") || file.contains("_packages_apt_"));
    Ok(files.map(str::to_owned).collect())
}

fn ours(machine: &Machine) -> Result<String> {
    machine.ok(&["find", "/etc", "/usr", "/var/lib", "/run", "/tmp", "-name", "*osm-agent*"])
}
