//! Services that systemd restarts by itself, again and again: each spell of it is counted until the service has run for a while.
//! One that restarts for ever never fails.

use std::collections::HashMap;

/// A service that has run for this long on end is well.
const WELL_MS: i64 = 10 * 60_000;

/// What is known of each service, by its name.
#[derive(Debug, Default)]
pub struct Spells(HashMap<String, Spell>);

/// How a service was found.
#[derive(Clone, Debug)]
pub struct Look {
    /// `NRestarts`, which begins anew with each start by hand.
    pub counted: u32,
    pub is_running: bool,
    /// Why it ended last, where that can be seen now.
    pub why: Option<Why>,
}

/// `Result` of a run, and its exit status or signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    pub result: String,
    pub status: Option<u8>,
}

/// Times are of the boot clock, in milliseconds.
#[derive(Clone, Debug)]
struct Spell {
    watched_since: i64,
    looked_at: i64,
    counted: u32,
    restarts: u32,
    last_at: i64,
    running_since: Option<i64>,
    why: Option<Why>,
}

/// What there is to tell of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub restarts: u32,
    pub ago_s: Option<u32>,
    pub why: Option<Why>,
}

impl Spells {
    /// Tells whether a service was restarted lately, or at some time of which it is not known yet whether that was lately.
    pub fn may_have(&self, unit: &str) -> bool {
        self.0.get(unit).is_some_and(|spell| spell.restarts > 0 || spell.counted > 0 && spell.told(spell.looked_at).is_none())
    }

    /// Takes in how a service was found; `None`: it is not known yet whether it was restarted.
    pub fn look(&mut self, unit: &str, look: Look, now: i64) -> Option<Told> {
        let spell = self.0.entry(unit.to_owned()).or_insert_with(|| Spell::begin(look.counted, now));
        spell.take(look, now);
        spell.told(now)
    }

    /// Forgets whom nobody has looked at now: it has failed, was stopped, or is gone.
    pub fn forget_unseen(&mut self, now: i64) {
        self.0.retain(|_, spell| spell.looked_at == now);
    }
}

impl Spell {
    fn begin(counted: u32, now: i64) -> Self {
        Self { watched_since: now, looked_at: now, counted, restarts: 0, last_at: now, running_since: None, why: None }
    }

    fn take(&mut self, look: Look, now: i64) {
        // A start by hand has set it to nought.
        let more = look.counted.checked_sub(self.counted).unwrap_or(look.counted);
        if now - self.looked_at >= WELL_MS {
            // Nobody knows how it was in between.
            self.restarts = 0;
        }
        if more > 0 {
            self.restarts = self.restarts.saturating_add(more);
            self.last_at = now;
            self.running_since = None;
        }
        self.running_since = if look.is_running { self.running_since.or(Some(now)) } else { None };
        if self.running_since.is_some_and(|since| now - since >= WELL_MS) {
            (self.restarts, self.why) = (0, None);
        }
        self.why = look.why.or_else(|| self.why.take());
        (self.counted, self.looked_at) = (look.counted, now);
    }

    fn told(&self, now: i64) -> Option<Told> {
        if self.restarts == 0 {
            let is_known = now - self.watched_since >= WELL_MS;
            return is_known.then_some(Told { restarts: 0, ago_s: None, why: None });
        }
        let ago_s = u32::try_from((now - self.last_at) / 1000).ok();
        Some(Told { restarts: self.restarts, ago_s, why: self.why.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60_000;

    fn running(counted: u32) -> Look {
        Look { counted, is_running: true, why: None }
    }

    fn waiting(counted: u32) -> Look {
        Look { is_running: false, ..running(counted) }
    }

    fn restarts(told: Option<Told>) -> Option<u32> {
        told.map(|told| told.restarts)
    }

    #[test]
    fn restarts_are_counted_from_the_first_look_until_it_has_run_for_ten_minutes() {
        let mut spells = Spells::default();
        // Restarts of which nobody knows when they were are not told.
        assert_eq!(spells.look("a", running(18), 0), None);
        assert!(spells.may_have("a"));
        assert_eq!(spells.look("b", running(0), 0), None);
        assert!(!spells.may_have("b"));
        assert_eq!(restarts(spells.look("a", waiting(20), MINUTE)), Some(2));
        let why = Why { result: "exit-code".to_owned(), status: Some(1) };
        let seen = Look { why: Some(why.clone()), ..waiting(21) };
        spells.look("a", seen, 2 * MINUTE);
        let told = spells.look("a", running(22), 3 * MINUTE).unwrap();
        assert_eq!(told, Told { restarts: 4, ago_s: Some(0), why: Some(why) });
        let told = spells.look("a", running(22), 12 * MINUTE).unwrap();
        assert_eq!((told.restarts, told.ago_s), (4, Some(540)));
        assert!(spells.may_have("a"));
        assert_eq!(restarts(spells.look("a", running(22), 13 * MINUTE)), Some(0));
        assert!(!spells.may_have("a"));
    }

    #[test]
    fn waiting_for_the_next_start_is_no_running() {
        let mut spells = Spells::default();
        spells.look("a", running(0), 0);
        for (minute, counted) in [(1, 1), (9, 1), (17, 2), (25, 2)] {
            spells.look("a", waiting(counted), minute * MINUTE);
        }
        assert_eq!(restarts(spells.look("a", waiting(3), 33 * MINUTE)), Some(3));
    }

    #[test]
    fn a_start_by_hand_sets_systemds_figure_to_nought_and_not_ours() {
        let mut spells = Spells::default();
        spells.look("a", running(5), 0);
        spells.look("a", running(7), MINUTE);
        assert_eq!(restarts(spells.look("a", running(1), 2 * MINUTE)), Some(3));
    }

    #[test]
    fn one_restart_an_hour_looked_at_hourly_is_no_spell() {
        let mut spells = Spells::default();
        for hour in 0..10 {
            spells.look("a", running(hour), i64::from(hour) * 60 * MINUTE);
        }
        assert_eq!(restarts(spells.look("a", running(10), 600 * MINUTE)), Some(1));
    }

    #[test]
    fn whoever_is_not_looked_at_is_forgotten() {
        let mut spells = Spells::default();
        spells.look("a", running(0), 0);
        spells.look("a", running(3), 1);
        spells.forget_unseen(1);
        assert!(spells.may_have("a"));
        spells.forget_unseen(2);
        assert!(!spells.may_have("a"));
    }
}
