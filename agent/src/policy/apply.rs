//! `osm-agent policy apply|allow|deny`: root's own detection, and the two files it writes. Takes no input from the agent.

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use osm_protocol::action::Chore;

use super::{
    catalog,
    list::UnitList,
    polkit::{self, RULES_FILE},
    rules,
};
use crate::{
    command::act::{JOURNAL_UNIT, LOGROTATE_UNIT},
    config::{DEFAULT_PATH, Settings},
    host::{
        durable,
        systemd::{Systemd, Unavailable, Unit, UnitFacts},
    },
};

const ADMINISTRATORS_UNITS: &str = "/etc/systemd/system";
/// As osm-agent-policy.path watches them.
const UNIT_FOLDERS: [&str; 3] = [ADMINISTRATORS_UNITS, "/etc/systemd/system/multi-user.target.wants", "/usr/lib/systemd/system"];
/// What the oneshot runs.
const LOGROTATE: &str = "/usr/sbin/logrotate";
/// More than this is no list of services any more, and would not fit into a report.
const UNITS_MAX: usize = 512;

/// With something that never rests the path unit's next event goes on from here.
const ROUNDS_MAX: usize = 10;

/// Detects by the configuration file as it is now, then writes; again, as long as something changes meanwhile. systemd's
/// path unit forgets what happens while the oneshot that it has started runs (systemd issue 5770).
pub async fn apply(config: Option<&Path>, rules_dir: &Path, systemd: &impl Systemd) -> Result<()> {
    let config_path = config.unwrap_or(Path::new(DEFAULT_PATH));
    let mut rounds = 0;
    loop {
        let before = inputs(config_path);
        let applied = match Settings::load(config) {
            Ok(settings) => once(&settings, rules_dir, systemd).await,
            Err(error) => Err(error.into()),
        };
        rounds += 1;
        if rounds == ROUNDS_MAX || inputs(config_path) == before {
            return applied;
        }
    }
}

/// What tells that an input has changed: the configuration itself, and of folders the inode and its times.
fn inputs(config: &Path) -> impl PartialEq {
    let folder = config.parent().unwrap_or(Path::new("/"));
    let mut folders = vec![folder.join("allow.d"), folder.join("deny.d")];
    folders.extend(UNIT_FOLDERS.map(PathBuf::from));
    let stamp = |folder: &PathBuf| {
        let metadata = fs::metadata(folder).ok()?;
        Some((metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
    };
    (fs::read(config).ok(), folders.iter().map(stamp).collect::<Vec<_>>())
}

/// Detects, then writes the list and the rule, each as a whole. Says what it did.
async fn once(settings: &Settings, rules_dir: &Path, systemd: &impl Systemd) -> Result<()> {
    need_root()?;
    let list = detect(settings, systemd).await?;
    let folder = settings.policy_file.parent().context("policy_file has no folder")?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    // The list first: where it cannot be written, polkit grants nothing that the list does not say.
    write(&settings.policy_file, &serde_json::to_vec_pretty(&list)?)?;
    let rule = rules_dir.join(RULES_FILE);
    if list.units.is_empty() && list.chores.is_empty() {
        durable::remove(&rule).with_context(|| format!("{} cannot be removed", rule.display()))?;
    } else {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(rules_dir)
            .with_context(|| format!("{} cannot be made", rules_dir.display()))?;
        write(&rule, polkit::rule(&list.units, &list.chores).as_bytes())?;
    }
    say(&list);
    Ok(())
}

fn say(list: &UnitList) {
    if let Some(why) = &list.unavailable {
        println!("No service can be restarted from the chat: {why}.");
    } else if list.units.is_empty() {
        println!("No service was found that could be restarted from the chat. Add one: osm-agent policy allow UNIT");
    } else {
        println!("May be restarted from the chat ({}):", list.units.len());
        list.units.iter().for_each(|unit| println!("  {unit}"));
    }
    for chore in &list.chores {
        println!("{}: may be asked for from the chat", chore_name(*chore));
    }
}

/// For a person.
pub fn chore_name(chore: Chore) -> &'static str {
    match chore {
        Chore::CleanJournal => "Clean the journal",
        Chore::RunLogrotate => "Rotate the logs",
        Chore::Reboot => "Reboot",
    }
}

/// Adds root's own word on a unit, then applies.
pub async fn decide(settings: &Settings, rules_dir: &Path, systemd: &impl Systemd, unit: &str, allow: bool) -> Result<()> {
    need_root()?;
    let unit = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
    if allow {
        rules::check_name(&unit, true).with_context(|| format!("{unit} cannot be allowed"))?;
        match systemd.facts(&unit).await {
            Ok(facts) => rules::check(&facts, true).with_context(|| format!("{unit} cannot be allowed"))?,
            Err(error) => eprintln!("{unit} cannot be looked at now ({error}); it is noted all the same."),
        }
    } else if !rules::is_name(&unit) {
        bail!("{unit:?} is not the name of a service (NAME.service)");
    }
    let (to, from) = if allow { ("allow.d", "deny.d") } else { ("deny.d", "allow.d") };
    let folder = settings.folder.join(to);
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    write(&folder.join(&unit), b"")?;
    let other = settings.folder.join(from).join(&unit);
    durable::remove(&other).with_context(|| format!("{} cannot be removed", other.display()))?;
    once(settings, rules_dir, systemd).await
}

fn need_root() -> Result<()> {
    if cfg!(test) || rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!("only root decides what may be restarted: run it with sudo")
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    // Readable for polkitd and for the agent; the umask may be narrower.
    durable::replace(path, bytes, 0o644).with_context(|| format!("{} cannot be written", path.display()))
}

async fn detect(settings: &Settings, systemd: &impl Systemd) -> Result<UnitList> {
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

/// What root allows, and what is there for it.
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
        match look(systemd, unit, true).await? {
            Ok(facts) => drop(units.insert(facts.id)),
            Err(why) => eprintln!("allow.d/{unit} is left out: {why}"),
        }
    }
    let local = if settings.detect_local_units { local_units(Path::new(ADMINISTRATORS_UNITS)) } else { BTreeSet::new() };
    for unit in loaded.iter().filter(|unit| unit.load_state == "loaded") {
        let is_local = local.contains(&unit.name) || template_of(&unit.name).is_some_and(|template| local.contains(&template));
        if !catalog::contains(&unit.name) && !is_local || rules::check_name(&unit.name, false).is_err() {
            continue;
        }
        let Ok(facts) = look(systemd, &unit.name, false).await? else { continue };
        if catalog::contains(&unit.name) && is_there(&facts) || is_local && is_enabled(&facts) && is_administrators(&facts) {
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
        eprintln!("{} units were found; only the first {UNITS_MAX} are listed", list.len());
        list.truncate(UNITS_MAX);
    }
    Ok(list)
}

async fn look(systemd: &impl Systemd, unit: &str, by_root: bool) -> Result<Result<UnitFacts, rules::Refusal>> {
    let facts = systemd.facts(unit).await?;
    Ok(rules::check(&facts, by_root).map(|()| facts))
}

/// A unit that is only installed, neither enabled nor running, would be started by a restart nobody meant.
fn is_there(facts: &UnitFacts) -> bool {
    is_enabled(facts) || facts.active_state != "inactive"
}

fn is_enabled(facts: &UnitFacts) -> bool {
    matches!(facts.unit_file_state.as_str(), "enabled" | "enabled-runtime" | "indirect")
}

fn is_administrators(facts: &UnitFacts) -> bool {
    Path::new(&facts.fragment_path).parent() == Some(Path::new(ADMINISTRATORS_UNITS))
}

/// Services that the administrator wrote: regular files, not the links that `enable` and `mask` make.
pub fn local_units(folder: &Path) -> BTreeSet<String> {
    let Ok(files) = fs::read_dir(folder) else { return BTreeSet::new() };
    files
        .flatten()
        .filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|file| file.file_name().into_string().ok())
        .filter(|name| rules::is_name(name))
        .collect()
}

/// `app@.service` of `app@blue.service`.
pub fn template_of(unit: &str) -> Option<String> {
    let (name, rest) = unit.split_once('@')?;
    let (_, suffix) = rest.rsplit_once('.')?;
    Some(format!("{name}@.{suffix}"))
}

pub fn administrators_units() -> PathBuf {
    PathBuf::from(ADMINISTRATORS_UNITS)
}

/// Root's own words: a file's name is a unit's name, whatever is in it.
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
            None => eprintln!("{}/{} is not the name of a service; it is left out", folder.display(), name.to_string_lossy()),
        }
    }
    Ok(units)
}

#[cfg(test)]
#[path = "apply_tests.rs"]
mod tests;
