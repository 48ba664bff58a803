//! Pauses between attempts: doubling, with jitter, so that ten thousand agents do not come back in one moment.

use std::time::Duration;

use crate::host::identity::random_share;

#[derive(Debug)]
pub struct Backoff {
    max: Duration,
    next: Duration,
}

const FIRST: Duration = Duration::from_secs(1);

impl Backoff {
    pub fn new(max: Duration) -> Self {
        Self { max, next: FIRST }
    }

    pub fn reset(&mut self) {
        self.next = FIRST;
    }

    /// The pause before the next attempt: half of it fixed, half of it chance.
    pub fn pause(&mut self) -> Duration {
        self.pause_with(random_share())
    }

    fn pause_with(&mut self, share: f64) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause.mul_f64(f64::midpoint(1.0, share))
    }
}

/// `interval` give or take a tenth.
pub fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random_share())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(5));
        let pauses: Vec<u64> = (0..5).map(|_| backoff.pause_with(1.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        backoff.reset();
        assert_eq!(backoff.pause_with(0.0), Duration::from_millis(500));
        let interval = jittered(Duration::from_secs(30)).as_secs_f64();
        assert!((27.0..=33.0).contains(&interval));
    }
}
