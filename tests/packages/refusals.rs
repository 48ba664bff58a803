//! `/install.sh` where it cannot work: one clear line, and the machine is left as it was.

use anyhow::{Context, Result, ensure};
use osm_tests::{
    agent::Agent,
    machine::{Machine, Output},
    server::{AGENT, Server},
};

use crate::site;

const SCRIPT: &str = "/root/osm-install.sh";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_work_says_so_and_changes_nothing() -> Result<()> {
    let mut server = Server { world: site::backend().await?, machine: site::machine("trixie", "refused")? };
    let lines = site::lines(&server.world, "refused", None).await?;
    let [fetch, install] = &lines[..] else { anyhow::bail!("{lines:?}") };
    site::run_ok(&server.machine, &[format!("cd /root && {fetch}")])?;
    let install = format!("cd /root && {install}");

    before_anything_is_changed(&server.machine, &install)?;
    a_script_that_was_cut_off_does_nothing(&server.machine)?;
    a_used_token_takes_everything_away_again(&server).await?;
    server.world.stop().await?;
    refused(&server.machine, &install, "does not answer")?;
    server.world.start().await?;
    twice_is_as_good_as_once(&server.machine, &install)
}

fn before_anything_is_changed(machine: &Machine, install: &str) -> Result<()> {
    // The clock is the host's own: what the script asks is made to lie.
    let date = "#!/bin/sh\n[ \"$*\" = +%s ] && exec /usr/bin/date -d '+1 day' +%s\nexec /usr/bin/date \"$@\"\n";
    machine.write("/root/fake/date", date, 0o755, "root")?;
    let lying = install.replace("| sudo sh", "| sudo env PATH=/root/fake:/usr/sbin:/usr/bin sh");
    refused(machine, &lying, "the clock of this machine is 86")?;
    machine.ok(&["rm", "-r", "/root/fake"])?;

    let wrong = install.replace("--fingerprint ", "--fingerprint 0");
    refused(machine, &wrong, "the key of the packages has the fingerprint")?;
    refused(
        machine,
        &install
            .replace("| sudo sh", "| sudo -u nobody sh")
            .replace("cd /root && ", "cp /root/osm-install.sh /tmp/ && cd /tmp && "),
        "this needs root",
    )?;
    refused(machine, &install.replace("--token-file -", "--token-file /root/nothing"), "/root/nothing cannot be read")?;

    let release = machine.ok(&["cat", "/etc/os-release"])?;
    machine.ok(&["mv", "/etc/os-release", "/root/os-release"])?;
    machine.write("/etc/os-release", "ID=arch\n", 0o644, "root")?;
    refused(machine, install, "neither of Debian's nor of Fedora's family")?;
    machine.ok(&["mv", "/root/os-release", "/etc/os-release"])?;
    assert_eq!(machine.ok(&["cat", "/etc/os-release"])?, release);
    Ok(())
}

/// After each line, and in the middle of the last ones.
fn a_script_that_was_cut_off_does_nothing(machine: &Machine) -> Result<()> {
    let before = state(machine)?;
    let size = machine.ok(&["stat", "-c", "%s", SCRIPT])?;
    let size: usize = size.trim().parse()?;
    let loop_over = format!(
        "cd /root; for n in $(seq 0 97 {size}) $(seq $(({size} - 12)) $(({size} - 2))); do head -c $n osm-install.sh >cut.sh; \
         sh cut.sh --fingerprint 0 --token-file - </dev/null >>cut.log 2>&1; done; rm -f cut.sh cut.log"
    );
    site::run(machine, &loop_over.replace("-eu", ""))?;
    assert_eq!(state(machine)?, before);
    Ok(())
}

async fn a_used_token_takes_everything_away_again(server: &Server) -> Result<()> {
    let lines = site::lines(&server.world, "used", None).await?;
    let token = lines[1].split_whitespace().find(|word| word.starts_with("OSM1-")).context("no token")?.to_owned();
    Agent::new(&server.world).pair(&token).await?;
    let packages = || server.machine.ok(&["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n"]);
    let before = packages()?;
    let output = site::run(&server.machine, &format!("cd /root && {}", lines[1]))?;
    assert_eq!(output.status, 1, "{output:?}");
    assert!(output.stderr.contains("the token was not accepted") && output.stderr.contains("taken away again"), "{output:?}");
    assert!(!output.stdout.contains(&token) && !output.stderr.contains(&token), "{output:?}");
    assert_eq!(packages()?, before);
    ensure!(ours(&server.machine)?.is_empty(), "left: {}", ours(&server.machine)?);
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

/// One line on standard error, and no trace.
fn refused(machine: &Machine, line: &str, why: &str) -> Result<Output> {
    let before = state(machine)?;
    let output = site::run(machine, line)?;
    assert_eq!(output.status, 1, "{output:?}");
    let said: Vec<_> = output.stderr.lines().collect();
    assert!(said.len() == 1 && said[0].starts_with("osm-install: ") && said[0].contains(why), "{why}: {output:?}");
    assert_eq!(state(machine)?, before, "{why}");
    Ok(output)
}

/// All of the system's files by name, size and time; packages, users.
fn state(machine: &Machine) -> Result<String> {
    let files = ["find", "/etc", "/usr", "/var/lib", "/root", "-xdev", "-type", "f", "-printf", "%p %s %T@\\n"];
    let mut files: Vec<_> = machine
        .ok(&files)?
        .lines()
        // The test's own, and what systemd writes by its own time.
        .filter(|file| !file.starts_with("/root/") && !file.starts_with("/var/lib/systemd/"))
        .map(str::to_owned)
        .collect();
    files.sort();
    Ok(files.join("\n"))
}

fn ours(machine: &Machine) -> Result<String> {
    machine.ok(&["find", "/etc", "/usr", "/var/lib", "/run", "-xdev", "-name", "*osm-agent*", "-not", "-path", "/var/lib/apt/*"])
}
