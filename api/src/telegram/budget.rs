//! How fast Telegram lets a bot send: about 30 messages a second in all, one a second in a chat (short bursts pass), 20 a minute in
//! a group. Staying below is cheaper than a 429, which costs everybody in the chat its whole wait.

use std::{collections::HashMap, time::Duration};

use tokio::time::Instant;

/// A private chat's bucket: this many at once, then one a second.
const CHAT_BURST: f64 = 3.0;
/// A group's: 8 at once and 12 a minute never exceed 20 in a minute.
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
        chat.bucket.fill(now);
        if chat.bucket.tokens < 1.0 {
            return Err(chat.bucket.wait());
        }
        chat.bucket.tokens -= 1.0;
        self.overall.tokens -= 1.0;
        Ok(())
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
            chat.bucket.fill(now);
            chat.bucket.tokens < chat.bucket.burst || chat.paused.is_some_and(|until| until > now)
        });
    }

    fn chat(&mut self, chat_id: i64, now: Instant) -> &mut Chat {
        // Groups have negative ids.
        let (burst, per_second) = if chat_id < 0 { (GROUP_BURST, GROUP_PER_SECOND) } else { (CHAT_BURST, 1.0) };
        self.chats.entry(chat_id).or_insert_with(|| Chat {
            bucket: Bucket::new(burst, per_second, now),
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
        for (chat, burst) in [(7, 3), (-7, 8)] {
            for _ in 0..burst {
                assert_eq!(budget.take(chat, now), Ok(()));
            }
        }
        assert_eq!(budget.take(7, now), Err(S));
        assert_eq!(budget.take(7, now + S), Ok(()));
        assert_eq!(budget.take(-7, now), Err(5 * S));
        let in_a_minute = 8 + (1..=60).filter(|second| budget.take(-7, now + *second * S).is_ok()).count();
        assert!(in_a_minute <= 20, "{in_a_minute}");
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
