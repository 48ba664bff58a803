//! What an upgrade keeps, whichever family's.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use osm_tests::{
    machine::Machine,
    server::{AGENT, Server, listed},
};
use serde_json::Value;

/// How a machine gets the version before this one, and this one again: from the repository, and from a file where the backend,
/// which serves that, is away.
pub trait Versions {
    fn previous(&self, machine: &Machine) -> Result<()>;
    fn next(&self, machine: &Machine) -> Result<()>;
    fn next_from_a_file(&self, machine: &Machine) -> Result<()>;
}

pub async fn keeps_everything(server: &mut Server, versions: &impl Versions) -> Result<()> {
    keeps_pairing_ledger_and_decisions(server, versions).await?;
    keeps_what_waits(server, versions).await
}

async fn keeps_pairing_ledger_and_decisions(server: &Server, versions: &impl Versions) -> Result<()> {
    let machine = &server.machine;
    versions.previous(machine)?;
    machine.ok(&["osm-agent", "policy", "allow", "ssh"])?;
    server.configure("interval = 5\n# kept")?;
    let ledger = || acts(&machine.ok(&["cat", "/var/lib/osm-agent/ledger.jsonl"])?);
    let kept = || -> Result<String> {
        let sums = machine.ok(&["sha256sum", "/var/lib/osm-agent/state.json", "/etc/osm-agent/agent.toml"])?;
        Ok(sums + &machine.ok(&["ls", "/etc/osm-agent/allow.d"])?)
    };
    let (done, before, pid) = (ledger()?, kept()?, server.main_pid(AGENT)?);
    ensure!(!done.is_empty(), "no command has left an act in the ledger");
    versions.next(machine)?;
    assert_eq!(kept()?, before);
    assert_eq!(ledger()?, done, "the ledger has lost what was done");
    assert_ne!(server.main_pid(AGENT)?, pid, "the new program runs");
    assert!(listed(machine)?.contains(&"ssh.service".to_owned()));
    server.card_with("online").await?;
    Ok(())
}

/// The ids of the commands that were done: the rates count them for a day. What was refused is forgotten once it has expired.
fn acts(ledger: &str) -> Result<BTreeSet<String>> {
    let facts = ledger.lines().map(serde_json::from_str).collect::<serde_json::Result<Vec<Value>>>()?;
    Ok(facts.iter().filter(|fact| fact["act"].is_object()).map(|fact| fact["jti"].to_string()).collect())
}

/// The backend is away meanwhile.
async fn keeps_what_waits(server: &mut Server, versions: &impl Versions) -> Result<()> {
    versions.previous(&server.machine)?;
    server.world.stop().await?;
    let waiting = || -> Result<Vec<String>> {
        let found =
            server.machine.ok(&["find", "/var/lib/osm-agent", "-path", "*/spool-*", "-type", "f", "-printf", "%P %T@\\n"])?;
        let mut found: Vec<_> = found.lines().map(str::to_owned).collect();
        found.sort();
        Ok(found)
    };
    let before = server.wait_for("reports that wait", || Ok(Some(waiting()?).filter(|files| files.len() >= 2)))?;
    versions.next_from_a_file(&server.machine)?;
    let after = waiting()?;
    ensure!(before.iter().all(|file| after.contains(file)), "{before:?} and after it {after:?}");
    server.world.start().await?;
    server.wait_for("an end of what waited", || Ok(waiting()?.is_empty().then_some(())))?;
    Ok(())
}
