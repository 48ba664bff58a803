//! Token buckets in memory: so many at once, so many a second after that.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

use crate::domain::Millis;

/// Buckets kept; beyond it, full ones are dropped first.
const KEPT: usize = 100_000;

pub struct Limiter<K> {
    burst: f64,
    per_second: f64,
    buckets: Mutex<HashMap<K, Bucket>>,
}

struct Bucket {
    tokens: f64,
    at: Millis,
}

impl<K: Eq + Hash> Limiter<K> {
    pub fn new(burst: u32, per_second: f64) -> Self {
        Self { burst: f64::from(burst), per_second, buckets: Mutex::new(HashMap::new()) }
    }

    /// Takes one token at `now`, by a clock that never jumps; when there is none, the seconds until there is.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds")]
    pub fn take(&self, key: K, now: Millis) -> Result<(), u64> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= KEPT {
            buckets.retain(|_, bucket| self.filled(bucket, now) < self.burst);
            // Everybody is over the limit: an attack with as many keys. Start again rather than grow.
            if buckets.len() >= KEPT {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket { tokens: self.burst, at: now });
        let tokens = self.filled(bucket, now);
        bucket.at = now;
        if tokens >= 1.0 {
            bucket.tokens = tokens - 1.0;
            Ok(())
        } else {
            bucket.tokens = tokens;
            Err(((1.0 - tokens) / self.per_second).ceil() as u64)
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "a span in milliseconds")]
    fn filled(&self, bucket: &Bucket, now: Millis) -> f64 {
        (bucket.tokens + (now - bucket.at) as f64 / 1000.0 * self.per_second).min(self.burst)
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
        assert_eq!(limiter.take("a", 2000), Err(2));
    }
}
