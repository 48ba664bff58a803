//! The services worth showing: known server software, the administrator's own, what root listed, and every unit that is in
//! trouble.

use std::{collections::HashMap, path::Path};

use osm_protocol::{
    action::Chore,
    messages::{self, Trouble, limits},
};

use super::{
    spells::{Look, Spells, Told, Why},
    standings::{Down, Standings},
};
use crate::{
    config::Settings,
    host::{
        clock::Moment,
        systemd::{ServiceState, Systemd, Unavailable, Unit},
    },
    policy::{
        catalog,
        list::UnitList,
        local::{self, LocalUnits},
        rules,
    },
    text::{clean, clean_or},
};

/// So many units in trouble are asked for their reason: some calls each.
const REASONS_MAX: usize = 32;

/// What systemd and root's list tell of this host.
pub struct Seen {
    pub systemd: messages::Systemd,
    pub services: Vec<messages::Service>,
    pub chores: Vec<Chore>,
    /// Why nothing can be asked for.
    pub monitored_only: Option<String>,
}

/// What is remembered of units from one report to the next.
#[derive(Debug)]
pub struct Services {
    spells: Spells,
    standings: Standings,
}

impl Default for Services {
    fn default() -> Self {
        Self { spells: Spells::default(), standings: Standings::new(Path::new(local::FOLDER)) }
    }
}

impl Services {
    /// Collects what systemd and root's list tell.
    pub async fn collect(&mut self, settings: &Settings, systemd: &impl Systemd, now: Moment) -> Seen {
        let listed = UnitList::read(&settings.policy_file).unwrap_or_default();
        // Restarts alone may be forbidden: the chores that are left can be asked for.
        let why = listed.unavailable.as_deref().filter(|_| listed.chores.is_empty());
        let monitored_only = why.map(|why| clean(why, limits::NAME));
        let none = |systemd| Seen { systemd, services: Vec::new(), chores: Vec::new(), monitored_only: None };
        match self.list(settings, systemd, &listed, now).await {
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

    async fn list(
        &mut self,
        settings: &Settings,
        systemd: &impl Systemd,
        listed: &UnitList,
        now: Moment,
    ) -> Result<Vec<messages::Service>, Unavailable> {
        let mut units = systemd.units().await?;
        // Stopped and not enabled, a listed unit is not loaded: ask for it by name.
        let missing: Vec<String> =
            listed.units.iter().filter(|name| units.iter().all(|unit| unit.name != **name)).cloned().collect();
        units.extend(systemd.named(&missing).await?);
        let down = self.standings.down(&units, systemd, now).await?;
        let states = states(&units, systemd).await;
        let told = self.watch(&units, &states, systemd, now.boot).await?;

        let local = if settings.detect_local_units { LocalUnits::read(Path::new(local::FOLDER)) } else { LocalUnits::default() };
        let is_ours = |unit: &Unit| {
            listed.contains(&unit.name)
                || unit.load_state == "loaded"
                    && is_service(unit)
                    && !rules::is_never(&unit.name)
                    && (catalog::contains(&unit.name) || local.contains(&unit.name))
        };
        let is_in_trouble = |unit: &Unit| {
            unit.active_state == "failed"
                || is_not_ready(unit, states.get(&unit.name))
                || self.spells.may_have(&unit.name)
                || down.contains_key(&unit.name)
        };
        units.retain(|unit| is_in_trouble(unit) || is_ours(unit));
        // Those in trouble first: they are the ones that must not be cut off.
        let place = |unit: &Unit| (unit.active_state != "failed", !is_in_trouble(unit));
        units.sort_by(|one, other| (place(one), &one.name).cmp(&(place(other), &other.name)));
        units.dedup_by(|one, other| one.name == other.name);
        units.truncate(limits::SERVICES);
        let restartable = |unit: &Unit| settings.actions.restart_service && listed.contains(&unit.name);
        let services = units.iter().map(|unit| messages::Service {
            restartable: restartable(unit),
            ..in_trouble(service(unit), unit, states.get(&unit.name), down.get(&unit.name))
        });
        Ok(services.map(|service| restarted(service, &told)).collect())
    }

    /// Looks how often services were restarted, all that could have been: one that dies and is back at once always looks well.
    async fn watch(
        &mut self,
        units: &[Unit],
        states: &HashMap<String, ServiceState>,
        systemd: &impl Systemd,
        now: i64,
    ) -> Result<HashMap<String, Told>, Unavailable> {
        let may_restart = |unit: &&Unit| is_service(unit) && !matches!(unit.active_state.as_str(), "failed" | "inactive");
        let watched: Vec<&Unit> = units.iter().filter(may_restart).collect();
        let counts = systemd.restarts(&watched).await?;
        let mut told = HashMap::new();
        for (unit, counted) in watched.into_iter().zip(counts) {
            let Some(counted) = counted else { continue };
            let why = states.get(&unit.name).and_then(why);
            let look = Look { counted, is_running: unit.active_state == "active", why };
            told.extend(self.spells.look(&unit.name, look, now).map(|told| (unit.name.clone(), told)));
        }
        self.spells.forget_unseen(now);
        Ok(told)
    }
}

fn is_service(unit: &Unit) -> bool {
    unit.name.ends_with(".service")
}

/// Says whether a unit is on the way to running, however long.
fn is_waiting(unit: &Unit) -> bool {
    matches!(unit.active_state.as_str(), "activating" | "reloading" | "refreshing")
}

/// Says whether a service that is on the way should have arrived.
fn is_not_ready(unit: &Unit, state: Option<&ServiceState>) -> bool {
    let waits_for_its_next_start = unit.sub_state.starts_with("auto-restart");
    is_service(unit) && is_waiting(unit) && state.is_some_and(|state| waits_for_its_next_start || state.kind != "oneshot")
}

/// Asks how those are doing that have failed or are on the way, up to some of them; the failed ones first.
async fn states(units: &[Unit], systemd: &impl Systemd) -> HashMap<String, ServiceState> {
    let mut states = HashMap::new();
    for unit in
        units.iter().filter(|unit| unit.active_state == "failed" || is_service(unit) && is_waiting(unit)).take(REASONS_MAX)
    {
        if let Ok(state) = systemd.state(&unit.name).await {
            states.insert(unit.name.clone(), state);
        }
    }
    states
}

/// Says why a unit ended last, where systemd knows.
fn why(state: &ServiceState) -> Option<Why> {
    let result = Some(clean(&state.result, 64)).filter(|result| !result.is_empty() && result != "success")?;
    let has_ended = state.exit_code != 0 && state.exit_status != 0;
    Some(Why { result, status: u8::try_from(state.exit_status).ok().filter(|_| has_ended) })
}

/// Puts a unit in the contract's words.
fn service(unit: &Unit) -> messages::Service {
    messages::Service {
        unit: clean_or(&unit.name, limits::NAME, "?"),
        active_state: clean_or(&unit.active_state, 32, "unknown"),
        sub_state: clean(&unit.sub_state, 32),
        ..messages::Service::default()
    }
}

/// Adds what is wrong with a unit.
fn in_trouble(service: messages::Service, unit: &Unit, state: Option<&ServiceState>, down: Option<&Down>) -> messages::Service {
    let why = state.and_then(why);
    let trouble = if down.is_some() { Some(Trouble::Down) } else { is_not_ready(unit, state).then_some(Trouble::NotReady) };
    messages::Service {
        status: why.as_ref().and_then(|why| why.status),
        result: why.map(|why| why.result),
        trouble,
        waits_for: down.and_then(|down| down.waits_for.as_ref()).map(|unit| clean_or(unit, limits::NAME, "?")),
        ..service
    }
}

/// Adds how often a service was restarted; and why it ended last, where that could be seen only before.
fn restarted(mut service: messages::Service, told: &HashMap<String, Told>) -> messages::Service {
    let Some(told) = told.get(&service.unit) else { return service };
    (service.restarts, service.restarted_ago_s) = (Some(told.restarts), told.ago_s);
    if let Some(why) = told.why.clone().filter(|_| service.result.is_none()) {
        (service.result, service.status) = (Some(why.result), why.status);
    }
    service
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::systemd::{
        Standing,
        fake::{self, Fake, unit},
    };

    const NOW: Moment = Moment { host: 1_800_000_000_000, boot: 3_600_000 };

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
        let found = Services::default().collect(&settings(), &systemd, NOW).await;
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
        let found = Services::default().collect(&settings(), &systemd, NOW).await;
        assert_eq!(found.services.len(), limits::SERVICES);
        assert_eq!(found.services[0].unit, "zzz.service");
    }

    #[tokio::test]
    async fn a_machine_without_systemd_says_so() {
        for (why, said) in [
            (Unavailable::Absent, messages::Systemd::Absent),
            (Unavailable::Unreachable("x".to_owned()), messages::Systemd::Unreachable),
        ] {
            let found = Services::default().collect(&settings(), &Fake { units: Err(why), ..Fake::default() }, NOW).await;
            assert_eq!((found.systemd, found.services.len()), (said, 0));
        }
    }

    fn waiting(name: &str, sub_state: &str) -> Unit {
        Unit { sub_state: sub_state.to_owned(), ..unit(name, "activating") }
    }

    async fn found(systemd: &Fake) -> Vec<messages::Service> {
        Services::default().collect(&settings(), systemd, NOW).await.services
    }

    #[tokio::test]
    async fn a_service_that_is_restarted_again_and_again_is_told_of_even_while_it_runs() {
        let mut services = Services::default();
        let mut systemd = Fake {
            units: Ok(vec![waiting("loopy.service", "auto-restart")]),
            states: vec![ServiceState { exit_code: 1, exit_status: 3, ..fake::state("activating", "auto-restart", "exit-code") }]
                .into(),
            restarts: std::cell::RefCell::new([("loopy.service".to_owned(), 18)].into()),
            ..Fake::default()
        };
        let first = services.collect(&settings(), &systemd, NOW).await.services;
        assert_eq!(
            (first[0].restarts, first[0].trouble, first[0].result.as_deref()),
            (None, Some(Trouble::NotReady), Some("exit-code"))
        );
        // Nobody knows the software; it runs at the moment of the next look.
        systemd.units = Ok(vec![unit("loopy.service", "active")]);
        systemd.restarts.borrow_mut().insert("loopy.service".to_owned(), 25);
        let second = services.collect(&settings(), &systemd, Moment { boot: NOW.boot + 30_000, ..NOW }).await.services;
        let told = &second[0];
        assert_eq!((told.restarts, told.restarted_ago_s, told.trouble), (Some(7), Some(0), None));
        assert_eq!((told.result.as_deref(), told.status), (Some("exit-code"), Some(3)));
    }

    #[tokio::test]
    async fn unknown_software_that_is_back_at_once_always_looks_well_and_is_told_of() {
        let mut services = Services::default();
        let systemd = Fake { units: Ok(vec![unit("vendor.service", "active")]), ..Fake::default() };
        for (restarts, told) in [(0, None), (2, Some(2)), (9, Some(9))] {
            systemd.restarts.borrow_mut().insert("vendor.service".to_owned(), restarts);
            let now = Moment { boot: NOW.boot + i64::from(restarts) * 10_000, ..NOW };
            let found = services.collect(&settings(), &systemd, now).await.services;
            assert_eq!(found.first().and_then(|service| service.restarts), told);
        }
    }

    #[tokio::test]
    async fn a_service_that_does_not_get_ready_is_told_of_and_a_oneshot_at_work_is_not() {
        let systemd = |kind: &str, sub_state: &str| Fake {
            units: Ok(vec![waiting("x.service", sub_state)]),
            states: vec![ServiceState { kind: kind.to_owned(), ..fake::state("activating", sub_state, "success") }].into(),
            ..Fake::default()
        };
        assert_eq!(found(&systemd("notify", "start")).await[0].trouble, Some(Trouble::NotReady));
        assert_eq!(found(&systemd("oneshot", "auto-restart")).await[0].trouble, Some(Trouble::NotReady));
        assert_eq!(found(&systemd("oneshot", "start")).await, []);
        let backup = Fake { units: Ok(vec![waiting("nginx.service", "start")]), ..systemd("oneshot", "start") };
        assert_eq!(found(&backup).await[0].trouble, None);
    }

    #[tokio::test]
    async fn failed_units_of_every_kind_are_told_and_a_service_that_waits_for_one() {
        let mount = Unit { sub_state: "failed".to_owned(), ..unit("mnt-data.mount", "failed") };
        let standing = Standing {
            unit_file_state: "enabled".to_owned(),
            wanted_by: vec!["multi-user.target".to_owned()],
            requires: vec!["mnt-data.mount".to_owned()],
            ..Standing::default()
        };
        let systemd = Fake {
            units: Ok(vec![
                unit("multi-user.target", "active"),
                unit("needs.service", "inactive"),
                mount,
                unit("x.timer", "active"),
            ]),
            states: vec![fake::state("failed", "failed", "exit-code")].into(),
            standings: [("needs.service".to_owned(), standing)].into(),
            ..Fake::default()
        };
        let found = found(&systemd).await;
        let told: Vec<_> =
            found.iter().map(|service| (service.unit.as_str(), service.trouble, service.waits_for.as_deref())).collect();
        assert_eq!(told, [("mnt-data.mount", None, None), ("needs.service", Some(Trouble::Down), Some("mnt-data.mount"))]);
    }

    #[tokio::test]
    async fn of_a_machine_that_is_well_nothing_is_asked_but_what_one_listing_does_not_say() {
        let units = (0..200).map(|number| unit(&format!("php{number}-fpm.service"), "active")).collect();
        let systemd = Fake { units: Ok(units), ..Fake::default() };
        let mut services = Services::default();
        for seconds in 0..10 {
            services.collect(&settings(), &systemd, Moment { boot: NOW.boot + seconds * 30_000, ..NOW }).await;
        }
        assert_eq!(systemd.asked.get(), 0);
    }
}
