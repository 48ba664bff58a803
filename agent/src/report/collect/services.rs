//! The services worth showing: known server software, the administrator's own, what root listed, and every failed unit.

use std::path::Path;

use osm_protocol::{
    action::Chore,
    messages::{self, limits},
};

use crate::{
    config::Settings,
    host::systemd::{Systemd, Unavailable, Unit},
    policy::{
        catalog,
        list::UnitList,
        local::{self, LocalUnits},
        rules,
    },
    text::{clean, clean_or},
};

/// So many failed units are asked for their reason: a call each.
const REASONS_MAX: usize = 32;

/// What systemd and root's list tell of this host.
pub struct Seen {
    pub systemd: messages::Systemd,
    pub services: Vec<messages::Service>,
    pub chores: Vec<Chore>,
    /// Why nothing can be asked for.
    pub monitored_only: Option<String>,
}

/// Collects what systemd and root's list tell.
pub async fn collect(settings: &Settings, systemd: &impl Systemd) -> Seen {
    let listed = UnitList::read(&settings.policy_file).unwrap_or_default();
    // Restarts alone may be forbidden: the chores that are left can be asked for.
    let why = listed.unavailable.as_deref().filter(|_| listed.chores.is_empty());
    let monitored_only = why.map(|why| clean(why, limits::NAME));
    let none = |systemd| Seen { systemd, services: Vec::new(), chores: Vec::new(), monitored_only: None };
    match list(settings, systemd, &listed).await {
        Ok(services) => {
            let chores = listed.chores.into_iter().filter(|chore| settings.actions.allow_chore(*chore)).collect();
            Seen { systemd: messages::Systemd::Available, services, chores, monitored_only }
        }
        Err(Unavailable::Absent) => none(messages::Systemd::Absent),
        Err(error) => {
            log::debug!("{error}");
            none(messages::Systemd::Unreachable)
        }
    }
}

async fn list(settings: &Settings, systemd: &impl Systemd, listed: &UnitList) -> Result<Vec<messages::Service>, Unavailable> {
    let mut units = systemd.services().await?;
    // Stopped and not enabled, a listed unit is not loaded: ask for it by name.
    let missing: Vec<String> = listed.units.iter().filter(|name| units.iter().all(|unit| unit.name != **name)).cloned().collect();
    units.extend(systemd.named(&missing).await?);
    let local = if settings.detect_local_units { LocalUnits::read(Path::new(local::FOLDER)) } else { LocalUnits::default() };

    units.retain(|unit| {
        unit.active_state == "failed"
            || listed.contains(&unit.name)
            || unit.load_state == "loaded"
                && !rules::is_never(&unit.name)
                && (catalog::contains(&unit.name) || local.contains(&unit.name))
    });
    // Failed ones first: they are the ones that must not be cut off.
    units.sort_by(|one, other| (one.active_state != "failed", &one.name).cmp(&(other.active_state != "failed", &other.name)));
    units.dedup_by(|one, other| one.name == other.name);
    units.truncate(limits::SERVICES);

    let mut services = Vec::with_capacity(units.len());
    for (index, unit) in units.iter().enumerate() {
        let result = match unit.active_state.as_str() {
            "failed" if index < REASONS_MAX => systemd.state(&unit.name).await.ok().map(|state| clean(&state.result, 64)),
            _ => None,
        };
        let restartable = settings.actions.restart_service && listed.contains(&unit.name);
        services.push(messages::Service {
            result: result.filter(|result| !result.is_empty() && result != "success"),
            restartable,
            ..service(unit)
        });
    }
    Ok(services)
}

/// Puts a unit in the contract's words.
fn service(unit: &Unit) -> messages::Service {
    messages::Service {
        unit: clean_or(&unit.name, limits::NAME, "?"),
        active_state: clean_or(&unit.active_state, 32, "unknown"),
        sub_state: clean(&unit.sub_state, 32),
        result: None,
        restartable: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::systemd::{
        ServiceState,
        fake::{Fake, unit},
    };

    fn settings() -> Settings {
        Settings { policy_file: "/nonexistent/units.json".into(), ..Settings::for_test() }
    }

    #[tokio::test]
    async fn failed_units_come_first_with_their_reason_and_the_systems_own_are_left_out() {
        let systemd = Fake {
            units: Ok(vec![
                unit("nginx.service", "active"),
                unit("systemd-journald.service", "active"),
                unit("some-oneshot.service", "inactive"),
                unit("weird\u{1b}.service", "failed"),
            ]),
            states: vec![ServiceState { result: "exit-code".to_owned(), ..ServiceState::default() }].into(),
            ..Fake::default()
        };
        let found = collect(&settings(), &systemd).await;
        assert_eq!(found.systemd, messages::Systemd::Available);
        let units: Vec<_> = found
            .services
            .iter()
            .map(|service| (service.unit.as_str(), service.result.as_deref(), service.restartable))
            .collect();
        assert_eq!(units, [("weird\u{fffd}.service", Some("exit-code"), false), ("nginx.service", None, false)]);
    }

    #[tokio::test]
    async fn ten_thousand_units_are_cut_to_the_limit_with_the_failed_ones_kept() {
        let mut units: Vec<Unit> = (0..10_000).map(|number| unit(&format!("php{number}-fpm.service"), "active")).collect();
        units.push(unit("zzz.service", "failed"));
        let systemd = Fake { units: Ok(units), states: vec![ServiceState::default()].into(), ..Fake::default() };
        let found = collect(&settings(), &systemd).await;
        assert_eq!(found.services.len(), limits::SERVICES);
        assert_eq!(found.services[0].unit, "zzz.service");
    }

    #[tokio::test]
    async fn a_machine_without_systemd_says_so() {
        for (why, said) in [
            (Unavailable::Absent, messages::Systemd::Absent),
            (Unavailable::Unreachable("x".to_owned()), messages::Systemd::Unreachable),
        ] {
            let found = collect(&settings(), &Fake { units: Err(why), ..Fake::default() }).await;
            assert_eq!((found.systemd, found.services.len()), (said, 0));
        }
    }
}
