//! Telegram's sending budgets. Time is an argument, so the rule is tested without waiting.
//!
//! The figures are those of <https://core.telegram.org/bots/faq>: about 30 messages a second overall, one a second
//! in one chat with short bursts allowed, 20 a minute in one group. The first and the last hold for any second and
//! any minute: a bucket would let a bot that is too fast by its burst pass.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

/// All budgets of one bot.
#[derive(Debug)]
pub(crate) struct Budgets {
    overall: Window,
    chats: HashMap<i64, Bucket>,
    groups: HashMap<i64, Window>,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { overall: Window::new(30, Duration::from_secs(1)), chats: HashMap::new(), groups: HashMap::new() }
    }
}

impl Budgets {
    /// Takes one message out of every budget that applies, or none and says after how many seconds to try again.
    pub(crate) fn take(&mut self, chat: i64, group: bool, now: Instant) -> Result<(), u32> {
        let bucket = self.chats.entry(chat).or_insert_with(|| Bucket::new(3.0, 1.0, now));
        let group = group.then(|| self.groups.entry(chat).or_insert_with(|| Window::new(20, Duration::from_mins(1))));
        let mut windows: Vec<&mut Window> = group.into_iter().chain([&mut self.overall]).collect();
        let wait = windows.iter_mut().map(|window| window.wait(now)).fold(bucket.wait(now), Duration::max);
        if !wait.is_zero() {
            return Err(u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1));
        }
        bucket.tokens -= 1.0;
        for window in windows {
            window.taken.push_back(now);
        }
        Ok(())
    }
}

/// No more than so many in any span of this length.
#[derive(Debug)]
struct Window {
    limit: usize,
    span: Duration,
    taken: VecDeque<Instant>,
}

impl Window {
    fn new(limit: usize, span: Duration) -> Self {
        Self { limit, span, taken: VecDeque::new() }
    }

    /// Forgets what is over, and returns how long until there is room.
    fn wait(&mut self, now: Instant) -> Duration {
        while self.taken.front().is_some_and(|at| *at + self.span <= now) {
            self.taken.pop_front();
        }
        match self.taken.front() {
            Some(first) if self.taken.len() >= self.limit => *first + self.span - now,
            _ => Duration::ZERO,
        }
    }
}

#[derive(Debug)]
struct Bucket {
    capacity: f64,
    per_second: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new(capacity: f64, per_second: f64, now: Instant) -> Self {
        Self { capacity, per_second, tokens: capacity, at: now }
    }

    /// Refills, and returns how long until a token is there.
    fn wait(&mut self, now: Instant) -> Duration {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.capacity);
        self.at = now;
        Duration::from_secs_f64(((1.0 - self.tokens) / self.per_second).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_chat_gets_a_burst_of_three_and_then_one_a_second() {
        let (mut budgets, start) = (Budgets::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(budgets.take(1, false, start), Ok(()));
        }
        assert_eq!(budgets.take(1, false, start), Err(1));
        assert_eq!(budgets.take(2, false, start), Ok(()), "another chat has its own budget");
        assert_eq!(budgets.take(1, false, start + S * 9 / 10), Err(1));
        assert_eq!(budgets.take(1, false, start + S), Ok(()));
    }

    #[test]
    fn no_minute_of_a_group_has_more_than_twenty() {
        let (mut budgets, start) = (Budgets::default(), Instant::now());
        let sent: Vec<u32> = (0..180).filter(|second| budgets.take(-5, true, start + S * *second).is_ok()).collect();
        assert_eq!(sent, [0..20, 60..80, 120..140].into_iter().flatten().collect::<Vec<u32>>());
        assert_eq!(budgets.take(-5, true, start + S * 150), Err(30));
    }

    #[test]
    fn no_second_has_more_than_thirty() {
        let (mut budgets, start) = (Budgets::default(), Instant::now());
        let mut sent = |chats: std::ops::Range<i64>, at| chats.filter(|chat| budgets.take(*chat, false, at).is_ok()).count();
        assert_eq!(sent(0..20, start), 20);
        assert_eq!(sent(100..200, start + S / 2), 10);
        assert_eq!(sent(200..300, start + S * 99 / 100), 0);
        assert_eq!(sent(300..400, start + S), 20, "the first twenty are over, the ten are not");
    }
}
