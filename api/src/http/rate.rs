//! What each of many may do: so often, and so much at once.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::domain::{
    Millis,
    bucket::{Bucket, Rate},
};

/// Buckets kept; beyond it, full ones are dropped first.
const KEPT: usize = 100_000;

/// A token bucket for each key.
pub struct Limiter<K> {
    rate: Rate,
    buckets: Mutex<HashMap<K, Bucket>>,
}

impl<K: Eq + Hash> Limiter<K> {
    pub fn new(burst: u32, per_second: f64) -> Self {
        Self { rate: Rate { burst: f64::from(burst), per_second }, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one token at `now`, by a clock that never jumps; when there is none, the seconds until there is.
    pub fn take(&self, key: K, now: Millis) -> Result<(), u64> {
        let now = Duration::from_millis(now.unsigned_abs());
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= KEPT {
            buckets.retain(|_, bucket| {
                bucket.fill(now);
                !bucket.is_full()
            });
            // Everybody is over the limit: an attack with as many keys. Start again rather than grow.
            if buckets.len() >= KEPT {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert_with(|| Bucket::full(self.rate, now));
        bucket.try_take(now).map_err(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).div_ceil(1000).max(1))
    }
}

/// How much of each key is under way.
pub struct AtOnce<K: Eq + Hash> {
    most: u32,
    under_way: Arc<Mutex<HashMap<K, u32>>>,
}

/// One that is under way, until this is dropped.
pub struct Place<K: Eq + Hash> {
    key: Option<K>,
    under_way: Arc<Mutex<HashMap<K, u32>>>,
}

impl<K: Eq + Hash + Clone> AtOnce<K> {
    pub fn new(most: u32) -> Self {
        Self { most, under_way: Arc::default() }
    }

    /// Gives one more of this key, if there is room.
    pub fn enter(&self, key: K) -> Option<Place<K>> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let count = under_way.entry(key.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Place { key: Some(key), under_way: self.under_way.clone() })
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
    fn drop(&mut self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(key) = self.key.take() else { return };
        if let Some(count) = under_way.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                under_way.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_a_trickle_and_keys_do_not_share() {
        let limiter = Limiter::new(3, 0.5);
        for _ in 0..3 {
            assert_eq!(limiter.take("a", 0), Ok(()));
        }
        assert_eq!(limiter.take("a", 0), Err(2));
        assert_eq!(limiter.take("b", 0), Ok(()));
        assert_eq!(limiter.take("a", 2000), Ok(()));
        assert_eq!(limiter.take("a", 3000), Err(1));
    }

    #[test]
    fn so_many_at_once_of_each_key_and_a_place_is_free_again_when_it_is_left() {
        let at_once = AtOnce::new(2);
        let (first, second) = (at_once.enter("a"), at_once.enter("a"));
        assert!(first.is_some() && second.is_some() && at_once.enter("a").is_none());
        assert!(at_once.enter("b").is_some());
        drop(first);
        assert!(at_once.enter("a").is_some());
        drop(second);
        assert!(at_once.under_way.lock().unwrap().is_empty());
    }
}
