//! Services that are enabled and down: boot asked for them, and they never came up. systemd calls that "inactive", as it calls
//! one that nobody wants.

use std::{
    collections::HashMap,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::host::{
    clock::Moment,
    systemd::{Standing, Systemd, Unavailable, Unit},
};

/// How long it is believed of a service that is down that it may be: another look costs a call for each of them.
const BELIEVED_MS: i64 = 10 * 60_000;

#[derive(Debug)]
pub struct Standings {
    /// Where `systemctl enable` makes its links.
    folder: PathBuf,
    /// When a service that may be down was last asked about, by the boot clock.
    may_be_down: HashMap<String, i64>,
}

/// A service that should be up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// A unit that it requires, and that failed or is missing.
    pub waits_for: Option<String>,
}

impl Standings {
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), may_be_down: HashMap::new() }
    }

    /// Finds the services that are down and should not be. Of most nothing is asked, since systemd's listing says enough.
    pub async fn down(
        &mut self,
        units: &[Unit],
        systemd: &impl Systemd,
        now: Moment,
    ) -> Result<HashMap<String, Down>, Unavailable> {
        let states: HashMap<&str, &Unit> = units.iter().map(|unit| (unit.name.as_str(), unit)).collect();
        let mut down = HashMap::new();
        let inactive = units.iter().filter(|unit| {
            unit.name.ends_with(".service") && unit.active_state == "inactive" && unit.load_state == "loaded" && !unit.has_job
        });
        let mut may_be_down = HashMap::new();
        for unit in inactive {
            let asked_at = self.may_be_down.get(&unit.name).copied();
            if let Some(asked_at) = asked_at.filter(|asked_at| now.boot - asked_at < BELIEVED_MS) {
                may_be_down.insert(unit.name.clone(), asked_at);
                continue;
            }
            let standing = systemd.standing(unit).await?;
            match self.judge(&unit.name, &standing, &states, now) {
                Some(found) => drop(down.insert(unit.name.clone(), found)),
                None => drop(may_be_down.insert(unit.name.clone(), now.boot)),
            }
        }
        self.may_be_down = may_be_down;
        Ok(down)
    }

    fn judge(&self, unit: &str, standing: &Standing, states: &HashMap<&str, &Unit>, now: Moment) -> Option<Down> {
        let Standing { unit_file_state, kind, result, .. } = standing;
        // A oneshot has done its job; what is started when it is needed is not needed; and a condition is somebody's word.
        let is_meant = unit_file_state.starts_with("enabled")
            && !matches!(kind.as_str(), "oneshot" | "dbus")
            && standing.triggered_by.is_empty()
            && !standing.condition_failed
            && result != "exec-condition";
        let wanting: Vec<&String> = standing.wanted_by.iter().filter(|name| is_wanted(name, states)).collect();
        if !is_meant || wanting.is_empty() {
            return None;
        }
        let is_lost = |name: &&String| {
            states.get(name.as_str()).is_some_and(|unit| unit.active_state == "failed" || unit.load_state == "not-found")
        };
        let waits_for = standing.requires.iter().find(is_lost).cloned();
        let never_came =
            !standing.was_active && standing.booted.is_some_and(|booted| !self.is_newer(unit, &wanting, booted, now));
        (waits_for.is_some() || never_came).then_some(Down { waits_for })
    }

    /// Tells whether a service was enabled only after the machine was up: then the next boot starts it.
    fn is_newer(&self, unit: &str, wanting: &[&String], booted: i64, now: Moment) -> bool {
        let booted = now.host - (now.boot - booted);
        let links =
            wanting.iter().flat_map(|name| ["wants", "requires"].map(|kind| self.folder.join(format!("{name}.{kind}/{unit}"))));
        let times = links.filter_map(|link| fs::symlink_metadata(link).ok());
        times.map(|link| link.ctime() * 1000 + link.ctime_nsec() / 1_000_000).min().is_some_and(|made| made > booted)
    }
}

/// Tells whether what wants a service is itself up, or on its way.
fn is_wanted(name: &str, states: &HashMap<&str, &Unit>) -> bool {
    states.get(name).is_some_and(|unit| unit.active_state == "active" || unit.has_job)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::systemd::fake::{Fake, unit};

    const HOUR: i64 = 3_600_000;
    const NOW: Moment = Moment { host: 1_800_000_000_000, boot: HOUR };

    fn enabled() -> Standing {
        Standing {
            unit_file_state: "enabled".to_owned(),
            kind: "simple".to_owned(),
            result: "success".to_owned(),
            wanted_by: vec!["multi-user.target".to_owned()],
            requires: vec!["sysinit.target".to_owned(), "dep.service".to_owned()],
            booted: Some(20_000),
            ..Standing::default()
        }
    }

    fn units(dep: &str) -> Vec<Unit> {
        vec![
            unit("needs.service", "inactive"),
            unit("dep.service", dep),
            unit("multi-user.target", "active"),
            unit("sysinit.target", "active"),
        ]
    }

    async fn down(standing: Standing, units: Vec<Unit>) -> Option<Down> {
        let systemd = Fake { standings: [("needs.service".to_owned(), standing)].into(), ..Fake::default() };
        let folder = Path::new("/nonexistent");
        Standings::new(folder).down(&units, &systemd, NOW).await.unwrap().remove("needs.service")
    }

    #[tokio::test]
    async fn what_boot_asked_for_and_what_it_needs_failed_is_down() {
        let waits_for = Some("dep.service".to_owned());
        assert_eq!(down(enabled(), units("failed")).await, Some(Down { waits_for: waits_for.clone() }));
        // Though it was up before, and though something holds up the rest of the boot.
        assert!(down(Standing { was_active: true, ..enabled() }, units("failed")).await.is_some());
        let mut waiting = units("failed");
        (waiting[2].active_state, waiting[2].has_job) = ("inactive".to_owned(), true);
        assert_eq!(down(Standing { booted: None, ..enabled() }, waiting).await, Some(Down { waits_for }));
        // Its start was taken out of a circle.
        assert_eq!(down(enabled(), units("active")).await, Some(Down { waits_for: None }));
    }

    #[tokio::test]
    async fn what_may_be_down_is_no_trouble() {
        let cases = [
            Standing { was_active: true, ..enabled() },
            Standing { unit_file_state: "disabled".to_owned(), ..enabled() },
            Standing { kind: "oneshot".to_owned(), ..enabled() },
            Standing { kind: "dbus".to_owned(), ..enabled() },
            Standing { condition_failed: true, ..enabled() },
            Standing { result: "exec-condition".to_owned(), ..enabled() },
            Standing { triggered_by: vec!["needs.socket".to_owned()], ..enabled() },
            Standing { wanted_by: vec!["sleep.target".to_owned()], ..enabled() },
            Standing { booted: None, ..enabled() },
        ];
        for standing in cases {
            assert_eq!(down(standing.clone(), units("active")).await, None, "{standing:?}");
        }
        let mut starting = units("failed");
        starting[0].has_job = true;
        assert_eq!(down(enabled(), starting).await, None);
    }

    #[tokio::test]
    async fn what_was_enabled_after_boot_waits_for_the_next_one() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("multi-user.target.wants")).unwrap();
        let link = folder.path().join("multi-user.target.wants/needs.service");
        std::os::unix::fs::symlink("/etc/systemd/system/needs.service", &link).unwrap();
        let made = fs::symlink_metadata(link).unwrap().ctime() * 1000;
        let systemd = Fake { standings: [("needs.service".to_owned(), enabled())].into(), ..Fake::default() };
        let found = async |up_for: i64| {
            let now = Moment { host: made + 10_000, boot: up_for };
            let systemd_ = &systemd;
            Standings::new(folder.path()).down(&units("active"), systemd_, now).await.unwrap().len()
        };
        assert_eq!((found(HOUR).await, found(25_000).await), (0, 1));
    }

    #[tokio::test]
    async fn each_is_asked_about_once_in_ten_minutes_but_for_what_is_down() {
        let systemd = Fake { standings: [("needs.service".to_owned(), enabled())].into(), ..Fake::default() };
        let mut units = units("failed");
        units.extend((0..100).map(|number| unit(&format!("other{number}.service"), "inactive")));
        let mut standings = Standings::new(Path::new("/nonexistent"));
        for (minute, asked) in [(0, 101), (1, 102), (9, 103), (10, 204)] {
            standings.down(&units, &systemd, Moment { boot: NOW.boot + minute * 60_000, ..NOW }).await.unwrap();
            assert_eq!(systemd.asked.get(), asked, "{minute}");
        }
    }
}
