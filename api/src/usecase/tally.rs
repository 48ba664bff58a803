//! Counts the refusals of callers who are nobody here, by kind and network, until they are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use crate::domain::event::Refused;

/// Networks that an event names.
const NAMED: usize = 3;

/// What was refused since the last event.
#[derive(Default)]
pub struct Refusals(Mutex<BTreeMap<Refused, Tally>>);

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

    /// Gives what was counted, and begins anew.
    pub fn take(&self) -> BTreeMap<Refused, Tally> {
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
    }
}
