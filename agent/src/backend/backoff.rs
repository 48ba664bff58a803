//! Pauses between attempts: doubling, with jitter, so that ten thousand agents do not come back in one moment.

use std::time::Duration;

use crate::host::random::Random;

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

    /// Gives the pause before the next attempt: half of it fixed, half of it chance.
    pub fn pause(&mut self, random: Random) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.max);
        pause.mul_f64(f64::midpoint(1.0, random.share()))
    }
}

/// Gives an interval, or takes from it, a tenth at most.
pub fn jittered(interval: Duration, random: Random) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random.share())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_over_after_a_success() {
        let mut backoff = Backoff::new(Duration::from_secs(5));
        let mut pauses = |random| (0..5).map(|_| backoff.pause(random).as_millis()).collect::<Vec<_>>();
        assert_eq!(pauses(Random::zeros()), [500, 1_000, 2_000, 2_500, 2_500]);
        assert_eq!(pauses(Random::ones()), [5_000; 5]);
        backoff.reset();
        assert_eq!(backoff.pause(Random::ones()), Duration::from_secs(1));
        let interval = |random| jittered(Duration::from_secs(30), random).as_millis();
        assert_eq!((interval(Random::zeros()), interval(Random::ones())), (27_000, 33_000));
    }
}
