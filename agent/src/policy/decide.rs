//! `osm-agent policy allow` and `osm-agent policy deny`: root's own word on a unit, a file of its name in `allow.d` or `deny.d`.

use std::{fs, os::unix::fs::DirBuilderExt as _, path::Path};

use anyhow::{Context as _, Result, bail};

use super::{
    apply::{once, turn, write},
    rules::{self, NamedBy},
};
use crate::text::complain;
use crate::{
    config::Settings,
    host::{durable, systemd::Systemd},
};

/// What root says of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    Allow,
    Deny,
}

impl Word {
    /// Names the folder beside agent.toml that holds such words.
    const fn folder(self) -> &'static str {
        match self {
            Self::Allow => "allow.d",
            Self::Deny => "deny.d",
        }
    }

    const fn opposite(self) -> Self {
        match self {
            Self::Allow => Self::Deny,
            Self::Deny => Self::Allow,
        }
    }
}

/// Notes root's own word on a unit, takes the opposite one back, and applies.
pub async fn decide(config: Option<&Path>, rules_dir: &Path, systemd: &impl Systemd, unit: &str, word: Word) -> Result<()> {
    let command = match word {
        Word::Allow => "policy allow",
        Word::Deny => "policy deny",
    };
    let turn = turn(config, command).await?;
    note(&turn.settings, systemd, unit, word).await?;
    once(&turn.settings, rules_dir, systemd).await
}

async fn note(settings: &Settings, systemd: &impl Systemd, unit: &str, word: Word) -> Result<()> {
    let unit = if unit.contains('.') { unit.to_owned() } else { format!("{unit}.service") };
    match word {
        Word::Allow => check_allowed(&unit, systemd).await?,
        Word::Deny if !rules::is_name(&unit) => bail!("{unit:?} is not the name of a service (NAME.service)"),
        Word::Deny => {}
    }
    let folder = settings.folder.join(word.folder());
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(&folder)
        .with_context(|| format!("{} cannot be made", folder.display()))?;
    write(&folder.join(&unit), b"")?;
    let other = settings.folder.join(word.opposite().folder()).join(&unit);
    durable::remove(&other).with_context(|| format!("{} cannot be removed", other.display()))
}

/// Refuses to allow what can never be listed. What cannot be looked at now is noted all the same.
async fn check_allowed(unit: &str, systemd: &impl Systemd) -> Result<()> {
    rules::check_name(unit, NamedBy::Root).with_context(|| format!("{unit} cannot be allowed"))?;
    match systemd.facts(unit).await {
        Ok(facts) => rules::check(&facts, NamedBy::Root).with_context(|| format!("{unit} cannot be allowed")),
        Err(error) => {
            complain!("{unit} cannot be looked at now ({error}); it is noted all the same.");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Actions,
        policy::{
            fixture::{machine, settings},
            list::UnitList,
            polkit::RULES_FILE,
        },
    };
    use osm_protocol::action::Chore;

    #[tokio::test]
    async fn forbidding_takes_the_grant_away() {
        let folder = tempfile::tempdir().unwrap();
        let rules_dir = folder.path().join("rules.d");
        let mut settings = settings(folder.path());
        once(&settings, &rules_dir, &machine()).await.unwrap();
        assert!(fs::read_to_string(rules_dir.join(RULES_FILE)).unwrap().contains("nginx.service"));
        assert!(UnitList::read(&settings.policy_file).unwrap().contains("nginx.service"));
        let config = folder.path().join("agent.toml");
        fs::write(&config, format!("policy_file = {:?}\ndetect_local_units = false\n", settings.policy_file)).unwrap();
        let decide = async |unit, word| decide(Some(&config), &rules_dir, &machine(), unit, word).await;
        decide("nginx", Word::Deny).await.unwrap();
        assert!(!fs::read_to_string(rules_dir.join(RULES_FILE)).unwrap().contains("nginx.service"));
        decide("nginx.service", Word::Allow).await.unwrap();
        assert!(UnitList::read(&settings.policy_file).unwrap().contains("nginx.service"));
        assert!(decide("dbus.service", Word::Allow).await.is_err());
        settings.actions.restart_service = false;
        once(&settings, &rules_dir, &machine()).await.unwrap();
        let rule = fs::read_to_string(rules_dir.join(RULES_FILE)).unwrap();
        assert!(!rule.contains("nginx.service") && rule.contains("osmAgentReboots = true"));
        let list = UnitList::read(&settings.policy_file).unwrap();
        assert_eq!((list.units.len(), list.chores), (0, vec![Chore::Reboot]));
        settings.actions = Actions { restart_service: false, clean_journal: false, run_logrotate: false, reboot: false };
        once(&settings, &rules_dir, &machine()).await.unwrap();
        assert!(!rules_dir.join(RULES_FILE).exists());
        assert!(UnitList::read(&settings.policy_file).unwrap().chores.is_empty());
    }
}
