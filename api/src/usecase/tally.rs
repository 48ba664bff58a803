//! Counts the refusals of callers who are nobody here, by kind and network, until they are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use crate::domain::event::Refused;

/// Networks that an event names.
const NAMED: usize = 3;

pub type Tallies = BTreeMap<Refused, Tally>;

/// What was refused since the last event.
#[derive(Default)]
pub struct Refusals(Mutex<Tallies>);

#[derive(Default)]
pub struct Tally {
    pub count: u64,
    pub networks: BTreeSet<String>,
}

impl Refusals {
    /// Counts a refusal of somebody from this network, where that is known.
    pub fn count(&self, what: Refused, network: Option<String>) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = tallies.entry(what).or_default();
        tally.count += 1;
        if tally.networks.len() < NAMED {
            tally.networks.extend(network);
        }
    }

    /// Adds what was taken and could not be told.
    pub fn give_back(&self, untold: Tallies) {
        let mut tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (what, Tally { count, networks }) in untold {
            let tally = tallies.entry(what).or_default();
            tally.count += count;
            let room = NAMED.saturating_sub(tally.networks.len());
            tally.networks.extend(networks.into_iter().take(room));
        }
    }

    /// Gives what was counted, and begins anew.
    pub fn take(&self) -> Tallies {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_by_kind_and_name_three_networks() {
        let refusals = Refusals::default();
        for number in 0..10 {
            refusals.count(Refused::PairingToken, Some(format!("203.0.113.{}", number % 5)));
        }
        refusals.count(Refused::WebhookSecret, None);
        let tallies = refusals.take();
        let tally = &tallies[&Refused::PairingToken];
        assert_eq!((tally.count, tally.networks.len()), (10, 3));
        assert_eq!((tallies[&Refused::WebhookSecret].count, tallies[&Refused::WebhookSecret].networks.len()), (1, 0));
        assert!(refusals.take().is_empty());
        // The database was away meanwhile.
        refusals.count(Refused::PairingToken, Some("203.0.113.9".to_owned()));
        refusals.give_back(tallies);
        let tally = &refusals.take()[&Refused::PairingToken];
        assert_eq!((tally.count, tally.networks.len()), (11, 3));
    }
}
