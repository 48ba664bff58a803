//! Telegram's sending budgets as token buckets. Time is an argument, so the rule is tested without waiting.
//!
//! The figures are those of <https://core.telegram.org/bots/faq>: about 30 messages a second overall, one a second
//! in one chat with short bursts allowed, 20 a minute in one group.

use std::collections::HashMap;

use tokio::time::Instant;

/// All buckets of one bot.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    overall: Option<Bucket>,
    chats: HashMap<i64, Bucket>,
    groups: HashMap<i64, Bucket>,
}

impl Budgets {
    /// Takes one message out of every budget that applies, or none and says after how many seconds to try again.
    pub(crate) fn take(&mut self, chat: i64, group: bool, now: Instant) -> Result<(), u32> {
        let mut buckets = vec![
            self.overall.get_or_insert_with(|| Bucket::new(30.0, 30.0, now)),
            self.chats.entry(chat).or_insert_with(|| Bucket::new(3.0, 1.0, now)),
        ];
        if group {
            buckets.push(self.groups.entry(chat).or_insert_with(|| Bucket::new(20.0, 20.0 / 60.0, now)));
        }
        let wait = buckets.iter_mut().map(|bucket| bucket.wait(now)).fold(0.0, f64::max);
        if wait > 0.0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few seconds, positive")]
            return Err((wait.ceil() as u32).max(1));
        }
        for bucket in buckets {
            bucket.tokens -= 1.0;
        }
        Ok(())
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

    /// Refills, and returns the seconds until a token is there (0 when one is).
    fn wait(&mut self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.per_second).min(self.capacity);
        self.at = now;
        if self.tokens >= 1.0 { 0.0 } else { (1.0 - self.tokens) / self.per_second }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_chat_gets_a_burst_of_three_and_then_one_a_second() {
        let (mut budgets, start) = (Budgets::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(budgets.take(1, false, start), Ok(()));
        }
        assert_eq!(budgets.take(1, false, start), Err(1));
        assert_eq!(budgets.take(2, false, start), Ok(()), "another chat has its own budget");
        assert_eq!(budgets.take(1, false, start + Duration::from_millis(900)), Err(1));
        assert_eq!(budgets.take(1, false, start + Duration::from_millis(1001)), Ok(()));
    }

    #[test]
    fn a_group_gets_twenty_a_minute_however_slowly_they_come() {
        let (mut budgets, start) = (Budgets::default(), Instant::now());
        let sent = (0..60).filter(|second| budgets.take(-5, true, start + Duration::from_secs(*second)).is_ok()).count();
        assert!((38..=40).contains(&sent), "20 at once and 20 refilled in the minute, got {sent}");
        let retry = budgets.take(-5, true, start + Duration::from_secs(59)).unwrap_err();
        assert!((1..=3).contains(&retry), "a group's token takes 3 s, got {retry}");
    }

    #[test]
    fn thirty_a_second_overall() {
        let (mut budgets, start) = (Budgets::default(), Instant::now());
        let sent = (0..100).filter(|chat| budgets.take(*chat, false, start).is_ok()).count();
        assert_eq!(sent, 30);
    }
}
