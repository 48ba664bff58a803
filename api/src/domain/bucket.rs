//! A token bucket: so many at once, so many a second after that. Times count from some moment, by a clock that never jumps.

use std::time::Duration;

#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub burst: f64,
    pub per_second: f64,
}

#[derive(Debug)]
pub struct Bucket {
    rate: Rate,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    pub fn full(rate: Rate, at: Duration) -> Self {
        Self { rate, tokens: rate.burst, at }
    }

    pub fn empty(rate: Rate, at: Duration) -> Self {
        Self { rate, tokens: 0.0, at }
    }

    /// Fills up what has come in since.
    pub fn fill(&mut self, now: Duration) {
        self.tokens = (self.tokens + now.saturating_sub(self.at).as_secs_f64() * self.rate.per_second).min(self.rate.burst);
        self.at = now;
    }

    /// Leaves the time until now out: nothing comes in for it.
    pub fn skip(&mut self, now: Duration) {
        self.at = now;
    }

    pub fn is_full(&self) -> bool {
        self.tokens >= self.rate.burst
    }

    /// Tells how long it takes until there is one; nothing when there is.
    pub fn wait(&self) -> Duration {
        Duration::from_secs_f64(((1.0 - self.tokens) / self.rate.per_second).max(0.0))
    }

    /// Takes one, which has to be there.
    pub fn take(&mut self) {
        self.tokens -= 1.0;
    }

    /// Takes one if there is one; otherwise says how long to wait.
    pub fn try_take(&mut self, now: Duration) -> Result<(), Duration> {
        self.fill(now);
        let wait = self.wait();
        if wait.is_zero() {
            self.take();
            Ok(())
        } else {
            Err(wait)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_passes_then_a_trickle() {
        let mut bucket = Bucket::full(Rate { burst: 3.0, per_second: 0.5 }, Duration::ZERO);
        for _ in 0..3 {
            assert_eq!(bucket.try_take(Duration::ZERO), Ok(()));
        }
        assert_eq!(bucket.try_take(Duration::ZERO), Err(2 * S));
        assert_eq!(bucket.try_take(2 * S), Ok(()));
        assert_eq!(bucket.try_take(3 * S), Err(S));
        bucket.fill(60 * S);
        assert!(bucket.is_full());
    }

    #[test]
    fn what_is_left_out_brings_nothing() {
        let mut bucket = Bucket::empty(Rate { burst: 3.0, per_second: 1.0 }, Duration::ZERO);
        bucket.skip(60 * S);
        assert_eq!(bucket.try_take(60 * S), Err(S));
    }
}
