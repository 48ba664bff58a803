//! How fast Telegram lets a bot send: about 30 messages a second in all, one a second in a chat (short bursts pass), 20 a minute
//! in a group. Staying below is cheaper than a 429, which costs everybody in the chat its whole wait.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use crate::domain::{
    bucket::{Bucket, Rate},
    ids::ChatId,
};

const SECOND: Duration = Duration::from_secs(1);
/// In any second. A bucket would not do: calls that were held up on their way arrive together with those that follow them.
const OVERALL: usize = 28;
/// Of these: whoever taps all the time takes no more than half.
const TAPS: Rate = Rate { burst: 4.0, per_second: 10.0 };
const CHAT: Rate = Rate { burst: 3.0, per_second: 1.0 };
/// 8 at once and 12 a minute never exceed 20 in a minute.
const GROUP: Rate = Rate { burst: 8.0, per_second: 12.0 / 60.0 };

/// What goes out one call at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// A chat's messages and their edits, in order.
    Messages(ChatId),
    /// Answers to taps in a chat. They are no messages: Telegram's limits for chats are not about them.
    Taps(ChatId),
}

impl Lane {
    fn chat_id(self) -> ChatId {
        let (Self::Messages(chat_id) | Self::Taps(chat_id)) = self;
        chat_id
    }
}

pub struct Budget {
    started: Instant,
    /// When the last calls were answered, oldest first: no more than [`OVERALL`].
    answered: VecDeque<Instant>,
    taps: Bucket,
    overall_paused: Option<Instant>,
    lanes: HashMap<Lane, State>,
}

#[derive(Default)]
struct State {
    buckets: Vec<Bucket>,
    paused: Option<Instant>,
    /// Paused by a 429, not by a failure of the network.
    throttled: bool,
}

impl State {
    fn new(lane: Lane) -> Self {
        let rates: &[Rate] = match lane {
            Lane::Taps(_) => &[],
            // Groups have negative ids.
            Lane::Messages(ChatId(..0)) => &[CHAT, GROUP],
            Lane::Messages(_) => &[CHAT],
        };
        Self { buckets: rates.iter().map(|rate| Bucket::empty(*rate, Duration::ZERO)).collect(), ..Self::default() }
    }

    fn pause(&mut self, until: Instant) {
        self.paused = self.paused.max(Some(until));
    }

    fn is_paused(&self, now: Instant) -> bool {
        self.paused.is_some_and(|until| until > now)
    }
}

impl Budget {
    /// For a sender that starts now. Another one may just have sent all that Telegram takes, so that nothing is there at first.
    pub fn new(now: Instant) -> Self {
        Self {
            started: now,
            answered: VecDeque::from([now; OVERALL]),
            taps: Bucket::empty(TAPS, Duration::ZERO),
            overall_paused: None,
            lanes: HashMap::new(),
        }
    }

    /// Takes one call in this lane out of the budgets, beside so many that are under way; otherwise says how long to wait.
    pub fn take(&mut self, lane: Lane, under_way: usize, now: Instant) -> Result<(), Duration> {
        let span = now - self.started;
        let overall = self.wait_for_all(under_way, now);
        let state = self.lanes.entry(lane).or_insert_with(|| State::new(lane));
        if let Some(until) = self.overall_paused.max(state.paused).filter(|until| *until > now) {
            return Err(until - now);
        }
        state.throttled = false;
        let taps = matches!(lane, Lane::Taps(_)).then_some(&mut self.taps);
        let mut buckets: Vec<&mut Bucket> = state.buckets.iter_mut().chain(taps).collect();
        let mut wait = overall;
        for bucket in &mut buckets {
            bucket.fill(span);
            wait = wait.max(bucket.wait());
        }
        if !wait.is_zero() {
            return Err(wait);
        }
        for bucket in buckets {
            bucket.take();
        }
        Ok(())
    }

    /// Tells how long it takes until one call more keeps every second within [`OVERALL`]. A call arrives at Telegram at some
    /// moment between its start and its answer: those under way and those answered within the last second may all fall into one
    /// second with the next.
    fn wait_for_all(&self, under_way: usize, now: Instant) -> Duration {
        let room = OVERALL.saturating_sub(under_way);
        // With the oldest of the last `room` a second old, there are fewer than that.
        let Some(over) = self.answered.len().checked_sub(room) else { return Duration::ZERO };
        // Without room, the next answer says more.
        self.answered.get(over).map_or(SECOND, |at| (*at + SECOND).saturating_duration_since(now))
    }

    /// Notes that a call was answered. Telegram counts it from the moment it arrived there, which may be this one: nothing is
    /// refilled for the time it took.
    pub fn answered(&mut self, lane: Lane, now: Instant) {
        let span = now - self.started;
        if self.answered.len() == OVERALL {
            self.answered.pop_front();
        }
        self.answered.push_back(now);
        for bucket in &mut self.lane(lane).buckets {
            bucket.skip(span);
        }
    }

    /// Telegram said 429: this chat waits; when a second chat is told so meanwhile, it is about the bot, and all wait.
    pub fn throttle(&mut self, lane: Lane, wait: Duration, now: Instant) {
        let (chat_id, until) = (lane.chat_id(), now + wait);
        if self.lanes.iter().any(|(lane, state)| lane.chat_id() != chat_id && state.throttled && state.is_paused(now)) {
            self.overall_paused = self.overall_paused.max(Some(until));
        }
        for lane in [Lane::Messages(chat_id), Lane::Taps(chat_id)] {
            let state = self.lane(lane);
            state.pause(until);
            state.throttled = true;
        }
    }

    /// Lets a lane wait whose call failed in passing, so that messages keep their order.
    pub fn pause(&mut self, lane: Lane, wait: Duration, now: Instant) {
        self.lane(lane).pause(now + wait);
    }

    /// Forgets lanes that are at rest.
    pub fn tidy(&mut self, now: Instant) {
        let span = now - self.started;
        self.lanes.retain(|_, state| {
            let is_full = state.buckets.iter_mut().all(|bucket| {
                bucket.fill(span);
                bucket.is_full()
            });
            !is_full || state.is_paused(now)
        });
    }

    fn lane(&mut self, lane: Lane) -> &mut State {
        self.lanes.entry(lane).or_insert_with(|| State::new(lane))
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "any instant will do to count from")]
mod tests {
    use super::*;

    const S: Duration = SECOND;
    const CHAT: Lane = Lane::Messages(ChatId(7));
    const GROUP: Lane = Lane::Messages(ChatId(-7));

    /// Gives a budget whose buckets are full, and the moment of that.
    fn full() -> (Budget, Instant) {
        let started = Instant::now();
        (Budget::new(started), started + 60 * S)
    }

    /// Gives when whoever takes what they get, of any of these lanes, gets something in `span`.
    fn greedy(budget: &mut Budget, lanes: &[Lane], from: Instant, span: Duration) -> Vec<Instant> {
        const STEP: Duration = Duration::from_millis(10);
        let mut taken = Vec::new();
        for step in 0..u32::try_from(span.as_millis() / STEP.as_millis()).unwrap() {
            let now = from + step * STEP;
            for lane in lanes {
                if budget.take(*lane, 0, now).is_ok() {
                    budget.answered(*lane, now);
                    taken.push(now);
                }
            }
        }
        taken
    }

    /// Gives the most that fell into any `span`.
    fn most_within(taken: &[Instant], span: Duration) -> usize {
        taken.iter().map(|first| taken.iter().filter(|at| (*first..*first + span).contains(*at)).count()).max().unwrap_or(0)
    }

    #[test]
    fn a_chat_has_a_burst_of_three_then_one_a_second() {
        let (mut budget, now) = full();
        for lane in [CHAT, GROUP] {
            for _ in 0..3 {
                assert_eq!(budget.take(lane, 0, now), Ok(()));
            }
            assert_eq!(budget.take(lane, 0, now), Err(S));
            assert_eq!(budget.take(lane, 0, now + S), Ok(()));
        }
        assert_eq!(greedy(&mut budget, &[CHAT], now + 2 * S, 60 * S).len(), 60);
    }

    #[test]
    fn no_minute_of_a_group_has_more_than_twenty_and_most_have_twelve() {
        let (mut budget, now) = full();
        let taken = greedy(&mut budget, &[GROUP], now, 600 * S);
        assert!((18..=20).contains(&most_within(&taken, 60 * S)), "{}", most_within(&taken, 60 * S));
        assert!((126..=128).contains(&taken.len()), "{}", taken.len());
    }

    #[test]
    fn every_second_of_a_rush_has_twenty_eight() {
        let (mut budget, now) = full();
        let lanes: Vec<Lane> = (1..=500).map(ChatId).map(Lane::Messages).chain((1..=100).map(ChatId).map(Lane::Taps)).collect();
        let taken = greedy(&mut budget, &lanes, now, 10 * S);
        assert_eq!(most_within(&taken, S), 28);
        assert_eq!(taken.len(), 280);
    }

    #[test]
    fn calls_that_were_held_up_on_their_way_count_in_the_second_in_which_they_were_answered() {
        let (mut budget, now) = full();
        let lanes: Vec<Lane> = (1..=500).map(ChatId).map(Lane::Messages).collect();
        let (held_up, others) = lanes.split_at(16);
        for (under_way, lane) in held_up.iter().enumerate() {
            assert_eq!(budget.take(*lane, under_way, now), Ok(()));
        }
        assert_eq!(budget.take(others[0], OVERALL, now), Err(S), "all that may arrive in one second are under way");
        let answered = now + 5 * S;
        for lane in held_up {
            budget.answered(*lane, answered);
        }
        let mut arrived = vec![answered; held_up.len()];
        arrived.extend(greedy(&mut budget, others, answered, 10 * S));
        assert_eq!(most_within(&arrived, S), 28);
    }

    #[test]
    fn answers_to_taps_take_nothing_from_their_chats_and_half_of_the_rest_at_most() {
        let (mut budget, now) = full();
        let mut clock = now;
        for _ in 0..40 {
            clock += S / 10;
            assert_eq!(budget.take(Lane::Taps(ChatId(-7)), 0, clock), Ok(()));
        }
        for _ in 0..3 {
            assert_eq!(budget.take(GROUP, 0, clock), Ok(()));
        }
        let taps: Vec<Lane> = (1..=50).map(ChatId).map(Lane::Taps).collect();
        let taken = greedy(&mut budget, &taps, clock, 10 * S).len();
        assert!((98..=104).contains(&taken), "{taken}");
        assert_eq!(budget.take(Lane::Messages(ChatId(8)), 0, clock + 10 * S), Ok(()));
    }

    #[test]
    fn who_starts_has_nothing_at_first_and_a_chat_waits_for_a_second() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        assert_eq!(budget.take(CHAT, 0, now), Err(S));
        assert_eq!(budget.take(GROUP, 0, now), Err(5 * S));
        assert_eq!(budget.take(CHAT, 0, now + S), Ok(()));
        assert_eq!(budget.take(CHAT, 0, now + S), Err(S));
        assert_eq!(budget.take(GROUP, 0, now + 5 * S), Ok(()));
        // Another chat, later: the time before counts for it too.
        for _ in 0..3 {
            assert_eq!(budget.take(Lane::Messages(ChatId(8)), 0, now + 10 * S), Ok(()));
        }
    }

    #[test]
    fn the_time_that_a_call_takes_refills_nothing() {
        let (mut budget, now) = full();
        for _ in 0..3 {
            assert_eq!(budget.take(CHAT, 0, now), Ok(()));
        }
        budget.answered(CHAT, now + S / 2);
        assert_eq!(budget.take(CHAT, 0, now + S), Err(S / 2));
        assert_eq!(budget.take(CHAT, 0, now + S * 3 / 2), Ok(()));
    }

    #[test]
    fn one_throttled_chat_waits_alone_and_two_stop_all() {
        let (mut budget, now) = full();
        budget.throttle(Lane::Taps(ChatId(1)), 5 * S, now);
        assert_eq!(budget.take(Lane::Messages(ChatId(1)), 0, now), Err(5 * S));
        assert_eq!(budget.take(Lane::Taps(ChatId(1)), 0, now), Err(5 * S));
        budget.throttle(Lane::Messages(ChatId(1)), 4 * S, now);
        assert_eq!(budget.take(Lane::Messages(ChatId(2)), 0, now), Ok(()));
        budget.throttle(Lane::Messages(ChatId(2)), 3 * S, now);
        assert_eq!(budget.take(Lane::Messages(ChatId(3)), 0, now), Err(3 * S));
        assert_eq!(budget.take(Lane::Messages(ChatId(3)), 0, now + 3 * S), Ok(()));
    }

    #[test]
    fn a_longer_wait_is_not_cut_short_by_another() {
        let (mut budget, now) = full();
        for chat in [1, 2] {
            budget.throttle(Lane::Messages(ChatId(chat)), 30 * S, now);
        }
        for chat in [1, 2] {
            budget.throttle(Lane::Messages(ChatId(chat)), 3 * S, now);
            budget.pause(Lane::Messages(ChatId(chat)), S, now);
            assert_eq!(budget.take(Lane::Messages(ChatId(chat)), 0, now), Err(30 * S));
        }
        assert_eq!(budget.take(Lane::Messages(ChatId(3)), 0, now), Err(30 * S), "all wait");
    }
}
