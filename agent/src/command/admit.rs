//! The host's own word on a command: agent.toml, rates, root's list.

use osm_protocol::action::{Action, Chore, Rejection};

use super::ended::Refusal;
use crate::{
    config::{Rates, Settings},
    policy::{
        list::{ListError, UnitList},
        rules::{self, NamedBy},
    },
    text::duration,
};

const HOUR_MS: u64 = 3_600_000;
const CANCELS_PER_HOUR: usize = 10;

/// Asks the host: its configuration, its rates, and root's list. `ages` says how many milliseconds ago the same was done.
pub fn admit(action: &Action, settings: &Settings, ages: &[u64], list: Result<UnitList, ListError>) -> Result<(), Refusal> {
    if !settings.actions.allow(action) {
        return Err(Refusal::new(Rejection::Policy, "agent.toml on the server does not allow this"));
    }
    let rates = &settings.rates;
    match action {
        Action::RestartService { unit } => {
            rules::check_name(unit, NamedBy::Root).map_err(|never| Refusal::new(Rejection::UnitNotListed, never.to_string()))?;
            check_rate(ages, rates)?;
            check_listed(unit, list)
        }
        Action::CleanJournal {} => {
            check_rate(ages, rates)?;
            check_granted(Chore::CleanJournal, list)
        }
        Action::RunLogrotate {} => {
            check_rate(ages, rates)?;
            check_granted(Chore::RunLogrotate, list)
        }
        Action::Reboot {} => {
            check_reboots(ages, rates)?;
            check_granted(Chore::Reboot, list)
        }
        Action::CancelReboot { .. } => check_cancels(ages),
    }
}

fn check_granted(chore: Chore, list: Result<UnitList, ListError>) -> Result<(), Refusal> {
    let list = list.map_err(|error| Refusal::new(Rejection::Unsupported, error.to_string()))?;
    if list.chores.contains(&chore) {
        return Ok(());
    }
    Err(Refusal::new(Rejection::Unsupported, "root's oneshot on the server does not grant it; there: osm-agent doctor"))
}

fn check_listed(unit: &str, list: Result<UnitList, ListError>) -> Result<(), Refusal> {
    match list {
        Ok(list) if list.contains(unit) => Ok(()),
        Ok(UnitList { unavailable: Some(why), .. }) => Err(Refusal::new(Rejection::Unsupported, why)),
        Ok(_) => {
            Err(Refusal::new(Rejection::UnitNotListed, format!("allow it on the server, as root: osm-agent policy allow {unit}")))
        }
        Err(error) => Err(Refusal::new(Rejection::UnitNotListed, error.to_string())),
    }
}

fn check_rate(ages: &[u64], rates: &Rates) -> Result<(), Refusal> {
    let gap = u64::try_from(rates.restart_gap.as_millis()).unwrap_or(u64::MAX);
    let mut within_hour = 0;
    for &age in ages {
        if age < gap {
            let ago = duration(i64::try_from(age).unwrap_or(i64::MAX));
            return Err(Refusal::new(Rejection::Rate, format!("it was done {ago} ago; once in {} s", gap / 1000)));
        }
        within_hour += u32::from(age < HOUR_MS);
    }
    if within_hour >= rates.restarts_per_hour {
        return Err(Refusal::new(
            Rejection::Rate,
            format!("{} times an hour are allowed on the server", rates.restarts_per_hour),
        ));
    }
    Ok(())
}

fn check_reboots(ages: &[u64], rates: &Rates) -> Result<(), Refusal> {
    let within_day = ages.iter().filter(|age| **age < 24 * HOUR_MS).count();
    if within_day >= rates.reboots_per_day as usize {
        return Err(Refusal::new(Rejection::Rate, format!("{} reboots a day are allowed on the server", rates.reboots_per_day)));
    }
    Ok(())
}

/// Reboots are few, so calling one off is seldom; nothing else uses these up.
fn check_cancels(ages: &[u64]) -> Result<(), Refusal> {
    if ages.iter().filter(|age| **age < HOUR_MS).count() >= CANCELS_PER_HOUR {
        return Err(Refusal::new(Rejection::Rate, format!("{CANCELS_PER_HOUR} an hour are allowed on the server")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_count_by_the_gap_and_by_the_hour() {
        let rates = Settings::for_test().rates;
        let allowed = |ages: &[u64]| check_rate(ages, &rates).is_ok();
        assert!(allowed(&[]));
        assert!(!allowed(&[29_999]));
        assert!(allowed(&[30_000]));
        assert!(!allowed(&[60_000, 120_000, 180_000, 240_000, 300_000, 360_000]));
        assert!(allowed(&[60_000, 120_000, 180_000, 240_000, 300_000, 3_600_001]));
    }
}
