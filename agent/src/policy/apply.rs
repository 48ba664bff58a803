//! `osm-agent policy apply`: makes the list and the polkit rule anew from root's detection.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use osm_protocol::action::Chore;

use super::{
    detect::detect,
    list::UnitList,
    local,
    polkit::{self, RULES_FILE},
};
use crate::text::say;
use crate::{
    config::{DEFAULT_PATH, Settings},
    host::{
        durable,
        lock::{Lock, LockError},
        systemd::Systemd,
    },
};

/// As osm-agent-policy.path watches them.
const UNIT_FOLDERS: [&str; 3] = [local::FOLDER, "/etc/systemd/system/multi-user.target.wants", "/usr/lib/systemd/system"];
/// With something that never rests the path unit's next event goes on from here.
const ROUNDS_MAX: usize = 10;
/// Beside the list, for root alone: what others could open, they could hold.
const LOCK: &str = "lock";
/// Less than the oneshot's own limit, so that it can say who has kept it waiting.
const WAIT: Duration = Duration::from_secs(40);

/// Detects by the configuration file as it is now, then writes; again, as long as something changes meanwhile. systemd's
/// path unit forgets what happens while the oneshot that it has started runs (systemd issue 5770).
pub async fn apply(config: Option<&Path>, rules_dir: &Path, systemd: &impl Systemd) -> Result<()> {
    let config_path = config.unwrap_or(Path::new(DEFAULT_PATH));
    let mut rounds = 0;
    loop {
        let before = inputs(config_path);
        let applied = match turn(config, "policy apply").await {
            Ok(turn) => once(&turn.settings, rules_dir, systemd).await,
            Err(error) => Err(error),
        };
        rounds += 1;
        if rounds == ROUNDS_MAX || inputs(config_path) == before {
            return applied;
        }
    }
}

/// The one that may decide now, and by which configuration.
pub struct Turn {
    pub settings: Settings,
    _lock: Lock,
}

/// Waits until no other process of ours decides: path unit, timer, packages' triggers and people may come at once, and list and
/// rule shall be of one look. The configuration is read when it is our turn, since the one before may have waited for an older.
pub async fn turn(config: Option<&Path>, command: &str) -> Result<Turn> {
    need_root()?;
    loop {
        let policy_file = Settings::load(config)?.policy_file;
        let folder = policy_file.parent().context("policy_file has no folder")?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
        let path = folder.join(LOCK);
        let lock = Lock::wait(&path, command, WAIT).await.map_err(|error| match error {
            LockError::Held(holder) => {
                anyhow!("{holder} has been deciding what may be restarted for {} s; try again when it has ended", WAIT.as_secs())
            }
            LockError::Unusable(error) => anyhow!("{} cannot be locked: {error}", path.display()),
        })?;
        let settings = Settings::load(config)?;
        if settings.policy_file == policy_file {
            return Ok(Turn { settings, _lock: lock });
        }
    }
}

/// Takes what tells that an input has changed: the configuration itself, and of folders the inode and its times.
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

/// Detects once, then writes the list and the rule, each as a whole. Says what it did. Only who has the turn may.
pub async fn once(settings: &Settings, rules_dir: &Path, systemd: &impl Systemd) -> Result<()> {
    let list = detect(settings, systemd).await?;
    // The list first: where it cannot be written, polkit grants nothing that the list does not say.
    write(&settings.policy_file, &list.to_json()?)?;
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
        say!("No service can be restarted from the chat: {why}.");
    } else if list.units.is_empty() {
        say!("No service was found that could be restarted from the chat. Add one: osm-agent policy allow UNIT");
    } else {
        say!("May be restarted from the chat ({}):", list.units.len());
        list.units.iter().for_each(|unit| say!("  {unit}"));
    }
    for chore in &list.chores {
        say!("{}: may be asked for from the chat", chore_name(*chore));
    }
}

/// Names a chore for a person.
fn chore_name(chore: Chore) -> &'static str {
    match chore {
        Chore::CleanJournal => "Clean the journal",
        Chore::RunLogrotate => "Rotate the logs",
        Chore::Reboot => "Reboot",
    }
}

/// Refuses everybody but root; in tests, whoever runs them.
fn need_root() -> Result<()> {
    if cfg!(test) || rustix::process::geteuid().is_root() {
        return Ok(());
    }
    bail!("only root decides what may be restarted: run it with sudo")
}

/// Writes a file as a whole.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    // Readable for polkitd and for the agent; the umask may be narrower.
    durable::replace(path, bytes, 0o644).with_context(|| format!("{} cannot be written", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        host::systemd::fake::Fake,
        policy::fixture::{machine, settings},
    };

    #[tokio::test]
    async fn what_root_forbids_while_the_list_is_made_is_not_granted() {
        let folder = tempfile::tempdir().unwrap();
        let (config, rules_dir) = (folder.path().join("agent.toml"), folder.path().join("rules.d"));
        let keys = format!("policy_file = {:?}\ndetect_local_units = false\n", folder.path().join("units.json"));
        fs::write(&config, &keys).unwrap();
        let forbidden = (config.clone(), format!("{keys}actions.reboot = false\n"));
        let forbid = Box::new(move || fs::write(forbidden.0, forbidden.1).unwrap());
        let machine = Fake { meanwhile: std::cell::RefCell::new(Some(forbid)), ..machine() };
        apply(Some(&config), &rules_dir, &machine).await.unwrap();
        let rule = fs::read_to_string(rules_dir.join(RULES_FILE)).unwrap();
        assert!(rule.contains("osmAgentReboots = false") && rule.contains("nginx.service"), "{rule}");
    }

    #[tokio::test]
    async fn a_list_that_cannot_be_written_grants_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        fs::create_dir(&settings.policy_file).unwrap();
        assert!(once(&settings, &folder.path().join("rules.d"), &machine()).await.is_err());
        assert!(!folder.path().join("rules.d").join(RULES_FILE).exists());
    }
}
