//! How fast Telegram lets a bot send: about 30 messages a second in all, one a second in a chat (short bursts pass), 20 a minute in
//! a group. Staying below is cheaper than a 429, which costs everybody in the chat its whole wait.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// A chat's bucket: this many at once, then one a second.
const CHAT_BURST: f64 = 3.0;
const CHAT_PER_SECOND: f64 = 1.0;
/// A group's second one: 8 at once and 12 a minute never exceed 20 in a minute.
const GROUP_BURST: f64 = 8.0;
const GROUP_PER_SECOND: f64 = 12.0 / 60.0;
const OVERALL_BURST: f64 = 25.0;
const OVERALL_PER_SECOND: f64 = 25.0;

pub struct Budget {
    overall: Bucket,
    overall_paused: Option<Instant>,
    chats: HashMap<i64, Chat>,
}

struct Chat {
    bucket: Bucket,
    /// Only groups have it.
    group: Option<Bucket>,
    paused: Option<Instant>,
    /// Paused by a 429, not by a failure of the network.
    throttled: bool,
}

struct Bucket {
    tokens: f64,
    burst: f64,
    per_second: f64,
    at: Instant,
}

impl Bucket {
    fn new(burst: f64, per_second: f64, now: Instant) -> Self {
        Self { tokens: burst, burst, per_second, at: now }
    }

    fn fill(&mut self, now: Instant) {
        self.tokens = (self.tokens + (now - self.at).as_secs_f64() * self.per_second).min(self.burst);
        self.at = now;
    }

    fn wait(&self) -> Duration {
        Duration::from_secs_f64(((1.0 - self.tokens) / self.per_second).max(0.0))
    }
}

impl Chat {
    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        std::iter::once(&mut self.bucket).chain(self.group.as_mut())
    }
}

impl Budget {
    pub fn new(now: Instant) -> Self {
        Self { overall: Bucket::new(OVERALL_BURST, OVERALL_PER_SECOND, now), overall_paused: None, chats: HashMap::new() }
    }

    /// Takes one call to this chat out of the budgets; otherwise says how long to wait.
    pub fn take(&mut self, chat_id: i64, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.overall_paused.filter(|until| *until > now) {
            return Err(until - now);
        }
        self.overall.fill(now);
        if self.overall.tokens < 1.0 {
            return Err(self.overall.wait());
        }
        let chat = self.chat(chat_id, now);
        if let Some(until) = chat.paused.filter(|until| *until > now) {
            return Err(until - now);
        }
        chat.throttled = false;
        chat.buckets().for_each(|bucket| bucket.fill(now));
        if let Some(wait) = chat.buckets().filter(|bucket| bucket.tokens < 1.0).map(|bucket| bucket.wait()).max() {
            return Err(wait);
        }
        chat.buckets().for_each(|bucket| bucket.tokens -= 1.0);
        self.overall.tokens -= 1.0;
        Ok(())
    }

    /// A call to this chat was answered. Telegram counts it from the moment it arrived there, which may be this one: nothing is
    /// refilled for the time it took.
    pub fn answered(&mut self, chat_id: i64, now: Instant) {
        self.chat(chat_id, now).buckets().for_each(|bucket| bucket.at = now);
    }

    /// Telegram said 429: this chat waits; when a second chat is told so meanwhile, it is about the bot, and all wait.
    pub fn throttle(&mut self, chat_id: i64, wait: Duration, now: Instant) {
        let another =
            self.chats.iter().any(|(id, chat)| *id != chat_id && chat.throttled && chat.paused.is_some_and(|until| until > now));
        let chat = self.chat(chat_id, now);
        chat.paused = Some(now + wait);
        chat.throttled = true;
        if another {
            self.overall_paused = Some(now + wait);
        }
    }

    /// A call failed in passing: this chat waits, so that its messages keep their order.
    pub fn pause(&mut self, chat_id: i64, wait: Duration, now: Instant) {
        self.chat(chat_id, now).paused = Some(now + wait);
    }

    /// Forgets chats that are at rest.
    pub fn tidy(&mut self, now: Instant) {
        self.chats.retain(|_, chat| {
            let is_full = chat.buckets().all(|bucket| {
                bucket.fill(now);
                bucket.tokens >= bucket.burst
            });
            !is_full || chat.paused.is_some_and(|until| until > now)
        });
    }

    fn chat(&mut self, chat_id: i64, now: Instant) -> &mut Chat {
        self.chats.entry(chat_id).or_insert_with(|| Chat {
            bucket: Bucket::new(CHAT_BURST, CHAT_PER_SECOND, now),
            // Groups have negative ids.
            group: (chat_id < 0).then(|| Bucket::new(GROUP_BURST, GROUP_PER_SECOND, now)),
            paused: None,
            throttled: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_chat_has_a_burst_then_one_a_second_and_a_group_twenty_a_minute() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        for chat in [7, -7] {
            for _ in 0..3 {
                assert_eq!(budget.take(chat, now), Ok(()));
            }
            assert_eq!(budget.take(chat, now), Err(S));
            assert_eq!(budget.take(chat, now + S), Ok(()));
        }
        let in_a_minute =
            |budget: &mut Budget, chat| (2..=60).filter(|second| budget.take(chat, now + *second * S).is_ok()).count();
        assert_eq!(in_a_minute(&mut budget, 7), 59);
        let in_group = 4 + in_a_minute(&mut budget, -7);
        assert!((18..=20).contains(&in_group), "{in_group}");
    }

    #[test]
    fn the_time_that_a_call_takes_refills_nothing() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        for _ in 0..3 {
            assert_eq!(budget.take(7, now), Ok(()));
        }
        budget.answered(7, now + S / 2);
        assert_eq!(budget.take(7, now + S), Err(S / 2));
        assert_eq!(budget.take(7, now + S * 3 / 2), Ok(()));
    }

    #[test]
    fn all_chats_share_the_overall_budget() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        let sent = (0..100).filter(|chat| budget.take(*chat, now).is_ok()).count();
        assert_eq!(sent, 25);
        let sent = (100..200).filter(|chat| budget.take(*chat, now + S).is_ok()).count();
        assert_eq!(sent, 25);
    }

    #[test]
    fn one_throttled_chat_waits_alone_and_two_stop_all() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        budget.throttle(1, 5 * S, now);
        assert_eq!(budget.take(1, now), Err(5 * S));
        assert_eq!(budget.take(2, now), Ok(()));
        budget.throttle(2, 3 * S, now);
        assert_eq!(budget.take(3, now), Err(3 * S));
        assert_eq!(budget.take(3, now + 3 * S), Ok(()));
    }
}
