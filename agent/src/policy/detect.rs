//! Root's own detection: which services of this machine may be restarted from the chat, and what else may be asked for. Takes
//! no input from the agent.

use std::{collections::BTreeSet, fs, io, path::Path};

use anyhow::{Context as _, Result};
use osm_protocol::action::Chore;

use super::{
    JOURNAL_UNIT, LOGROTATE_UNIT, catalog,
    list::UnitList,
    local::{self, LocalUnits},
    polkit,
    rules::{self, NamedBy},
};
use crate::{
    config::Settings,
    host::systemd::{Systemd, Unavailable, Unit, UnitFacts},
    text::complain,
};

/// What the oneshot runs.
const LOGROTATE: &str = "/usr/sbin/logrotate";
/// More than this is no list of services any more, and would not fit into a report.
const UNITS_MAX: usize = 512;

/// Finds what root's configuration allows and this machine has.
pub async fn detect(settings: &Settings, systemd: &impl Systemd) -> Result<UnitList> {
    let none = |why: String| UnitList { version: 1, unavailable: Some(why), ..UnitList::default() };
    let forbidden = "agent.toml says restart_service = false";
    if !settings.actions.restart_service && !Chore::ALL.into_iter().any(|chore| settings.actions.allow_chore(chore)) {
        return Ok(none(forbidden.to_owned()));
    }
    let loaded = match systemd.services().await {
        Ok(loaded) => loaded,
        Err(Unavailable::Absent) => return Ok(none(Unavailable::Absent.to_string())),
        Err(error) => return Err(error).context("the services cannot be listed; the list stays as it was"),
    };
    match systemd.polkit_version().await? {
        None => return Ok(none("polkit is not installed or does not answer (install polkitd)".to_owned())),
        Some(version) if !polkit::has_rules(&version) => {
            return Ok(none(format!(
                "polkit {version} has no rules that tell services apart (0.106 or later is needed); this system is monitored only"
            )));
        }
        Some(_) => {}
    }
    let chores = chores(settings, systemd).await?;
    if !settings.actions.restart_service {
        return Ok(UnitList { chores, ..none(forbidden.to_owned()) });
    }
    Ok(UnitList { version: 1, units: units(settings, systemd, &loaded).await?, chores, unavailable: None })
}

/// Names the chores that root allows and that this machine has the means for.
async fn chores(settings: &Settings, systemd: &impl Systemd) -> Result<Vec<Chore>> {
    let mut chores = Vec::new();
    for chore in Chore::ALL.into_iter().filter(|chore| settings.actions.allow_chore(*chore)) {
        let is_there = match chore {
            Chore::CleanJournal => is_loaded(systemd, JOURNAL_UNIT).await?,
            Chore::RunLogrotate => Path::new(LOGROTATE).exists() && is_loaded(systemd, LOGROTATE_UNIT).await?,
            Chore::Reboot => true,
        };
        if is_there {
            chores.push(chore);
        }
    }
    Ok(chores)
}

async fn is_loaded(systemd: &impl Systemd, unit: &str) -> Result<bool> {
    Ok(systemd.facts(unit).await?.load_state == "loaded")
}

async fn units(settings: &Settings, systemd: &impl Systemd, loaded: &[Unit]) -> Result<Vec<String>> {
    let allowed = words(&settings.folder.join("allow.d"))?;
    let denied = words(&settings.folder.join("deny.d"))?;
    let mut units = BTreeSet::new();
    for unit in &allowed {
        match look(systemd, unit, NamedBy::Root).await? {
            Ok(facts) => drop(units.insert(facts.id)),
            Err(why) => complain!("allow.d/{unit} is left out: {why}"),
        }
    }
    let local = if settings.detect_local_units { LocalUnits::read(Path::new(local::FOLDER)) } else { LocalUnits::default() };
    for unit in loaded.iter().filter(|unit| unit.load_state == "loaded") {
        let is_local = local.contains(&unit.name);
        if !catalog::contains(&unit.name) && !is_local || rules::check_name(&unit.name, NamedBy::Detection).is_err() {
            continue;
        }
        let Ok(facts) = look(systemd, &unit.name, NamedBy::Detection).await? else { continue };
        let is_own = is_local && is_enabled(&facts) && is_administrators(&facts) && is_lasting(&facts);
        if catalog::contains(&unit.name) && is_there(&facts) || is_own {
            units.insert(facts.id);
        }
    }
    let mut list = Vec::new();
    for unit in units {
        // Denied under any of its names.
        let names = systemd.facts(&unit).await?.names;
        if !names.iter().chain([&unit]).any(|name| denied.contains(name)) {
            list.push(unit);
        }
    }
    if list.len() > UNITS_MAX {
        complain!("{} units were found; only the first {UNITS_MAX} are listed", list.len());
        list.truncate(UNITS_MAX);
    }
    Ok(list)
}

async fn look(systemd: &impl Systemd, unit: &str, by: NamedBy) -> Result<Result<UnitFacts, rules::Refusal>> {
    let facts = systemd.facts(unit).await?;
    Ok(rules::check(&facts, by).map(|()| facts))
}

/// Says whether a unit is enabled or runs. One that is only installed would be started by a restart nobody meant.
fn is_there(facts: &UnitFacts) -> bool {
    is_enabled(facts) || facts.active_state != "inactive"
}

fn is_enabled(facts: &UnitFacts) -> bool {
    matches!(facts.unit_file_state.as_str(), "enabled" | "enabled-runtime" | "indirect")
}

/// Says whether a unit goes on running. A oneshot is a job: what one does at boot (format scratch storage, say) is nobody's
/// service, and two taps in a chat must not do it again unless root has said so.
fn is_lasting(facts: &UnitFacts) -> bool {
    facts.kind != "oneshot"
}

fn is_administrators(facts: &UnitFacts) -> bool {
    Path::new(&facts.fragment_path).parent() == Some(Path::new(local::FOLDER))
}

/// Reads root's own words: a file's name is a unit's name, whatever is in it.
fn words(folder: &Path) -> Result<BTreeSet<String>> {
    let files = match fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be read", folder.display())),
    };
    let mut units = BTreeSet::new();
    for file in files {
        let name = file.with_context(|| format!("{} cannot be read", folder.display()))?.file_name();
        match name.to_str().filter(|name| rules::is_name(name)) {
            Some(name) => drop(units.insert(name.to_owned())),
            None => complain!("{}/{} is not the name of a service; it is left out", folder.display(), name.to_string_lossy()),
        }
    }
    Ok(units)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::systemd::fake::Fake,
        policy::fixture::{facts, machine, settings},
    };

    fn say(folder: &Path, word: &str, unit: &str) {
        fs::create_dir_all(folder.join(word)).unwrap();
        fs::write(folder.join(word).join(unit), "").unwrap();
    }

    #[tokio::test]
    async fn known_software_that_is_really_there_is_listed() {
        let folder = tempfile::tempdir().unwrap();
        let list = detect(&settings(folder.path()), &machine()).await.unwrap();
        assert_eq!(list.units, ["mariadb.service", "nginx.service"]);
    }

    #[tokio::test]
    async fn a_chore_is_granted_where_it_is_allowed_and_its_oneshot_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        let mut machine = machine();
        assert_eq!(detect(&settings, &machine).await.unwrap().chores, [Chore::Reboot]);
        machine.facts.push(facts(JOURNAL_UNIT, "inactive", "static"));
        assert_eq!(detect(&settings, &machine).await.unwrap().chores, [Chore::CleanJournal, Chore::Reboot]);
        settings.actions.reboot = false;
        settings.actions.clean_journal = false;
        assert!(detect(&settings, &machine).await.unwrap().chores.is_empty());
    }

    #[tokio::test]
    async fn roots_word_adds_and_takes_away() {
        let folder = tempfile::tempdir().unwrap();
        for unit in ["own.service", "ssh.service", "dbus.service", "gone.service", "no service"] {
            say(folder.path(), "allow.d", unit);
        }
        say(folder.path(), "deny.d", "nginx.service");
        say(folder.path(), "deny.d", "mysql.service");
        let mut machine = machine();
        machine.facts[1].names.push("mysql.service".to_owned());
        let list = detect(&settings(folder.path()), &machine).await.unwrap();
        assert_eq!(list.units, ["own.service", "ssh.service"]);
    }

    #[tokio::test]
    async fn a_host_that_cannot_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let why = async |settings: &Settings, machine: Fake| detect(settings, &machine).await.unwrap().unavailable.unwrap();
        let mut forbidden = settings(folder.path());
        forbidden.actions.restart_service = false;
        assert!(why(&forbidden, machine()).await.contains("agent.toml"));
        let ours = settings(folder.path());
        assert!(why(&ours, Fake { units: Err(Unavailable::Absent), ..machine() }).await.contains("not the init"));
        assert!(why(&ours, Fake { polkit: Some("0.105".to_owned()), ..machine() }).await.contains("0.105"));
        assert!(why(&ours, Fake { polkit: None, ..machine() }).await.contains("polkit"));
        let silent = Fake { units: Err(Unavailable::Unreachable("x".to_owned())), ..machine() };
        assert!(detect(&ours, &silent).await.is_err(), "a bus that does not answer leaves the list as it was");
    }
}
