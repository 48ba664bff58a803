//! Which servers have gone silent. By a clock that never jumps, and by what this process saw itself: whoever just began to listen
//! gives every server its whole grace, and so does whoever was deaf for a while.

use std::collections::{HashMap, HashSet};

use crate::domain::{
    MINUTE, Millis, SECOND,
    ids::{ChatId, ServerId},
};

/// However short its interval: nobody is called offline sooner.
pub const SHORTEST_GRACE: Millis = 15 * SECOND;
/// A pause between two looks that is longer than this was deafness: the process stood still. Shorter than any grace.
const DEAF: Millis = 12 * SECOND;
/// Servers of one chat that are late together are told together; nobody waits longer for the others.
const TOGETHER: Millis = MINUTE;

/// A server, at one look.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub server_id: ServerId,
    pub chat_id: ChatId,
    /// When its newest report came; only whether it changed matters.
    pub received_at: Millis,
    pub interval: Millis,
    /// How long it may be silent.
    pub grace: Millis,
    /// Already told, or its silence was asked for, or nobody wants to hear of it.
    pub excused: bool,
}

#[derive(Debug, Default)]
pub struct Listener {
    heard: HashMap<ServerId, Heard>,
    looked_at: Option<Millis>,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    received_at: Millis,
    at: Millis,
}

impl Listener {
    /// Takes a look at `now`; gives the servers that are to be told as offline, as places in `servers`.
    pub fn look(&mut self, now: Millis, servers: &[Seen]) -> Vec<usize> {
        let was_deaf = self.looked_at.is_none_or(|at| now - at > DEAF);
        self.looked_at = Some(now);
        let known: HashSet<ServerId> = servers.iter().map(|seen| seen.server_id).collect();
        // Nobody can have been heard meanwhile.
        self.heard.retain(|id, _| known.contains(id) && !was_deaf);

        let silences: Vec<Silence> = servers.iter().map(|seen| self.silence(now, seen)).collect();
        let chats_with = |wanted: fn(&Silence) -> bool| -> HashSet<ChatId> {
            silences.iter().filter(|silence| wanted(silence)).map(|silence| silence.chat_id).collect()
        };
        let waiting = chats_with(Silence::is_late);
        // One that waited long enough takes the others of its chat with it.
        let urgent = chats_with(Silence::is_urgent);
        let is_told =
            |silence: &Silence| silence.is_over() && (!waiting.contains(&silence.chat_id) || urgent.contains(&silence.chat_id));
        (0..servers.len()).filter(|place| is_told(&silences[*place])).collect()
    }

    fn silence(&mut self, now: Millis, seen: &Seen) -> Silence {
        let fresh = Heard { received_at: seen.received_at, at: now };
        let heard = self.heard.entry(seen.server_id).or_insert(fresh);
        if heard.received_at != seen.received_at {
            *heard = fresh;
        }
        let Seen { chat_id, interval, grace, excused, .. } = *seen;
        Silence { chat_id, interval, grace, excused, lasts: now - heard.at }
    }
}

/// How long a server has been silent, by what this process saw itself.
struct Silence {
    chat_id: ChatId,
    interval: Millis,
    grace: Millis,
    excused: bool,
    lasts: Millis,
}

impl Silence {
    /// Tells whether it is worth waiting for: by more than the tenth by which agents vary their interval, and not yet over.
    fn is_late(&self) -> bool {
        !self.excused && self.lasts <= self.grace && self.lasts > self.interval + self.interval / 5
    }

    fn is_over(&self) -> bool {
        !self.excused && self.lasts > self.grace
    }

    fn is_urgent(&self) -> bool {
        self.is_over() && self.lasts > self.grace + TOGETHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Millis = 30 * SECOND;

    fn id(n: u128) -> ServerId {
        uuid::Uuid::from_u128(n).into()
    }

    fn seen(n: u128, received_at: Millis) -> Seen {
        Seen { server_id: id(n), chat_id: ChatId(1), received_at, interval: INTERVAL, grace: 3 * INTERVAL, excused: false }
    }

    /// Looks every 5 s from 0 until before `until`; gives when something was told, and how much.
    fn listen(until: i64, servers: impl Fn(Millis) -> Vec<Seen>) -> Vec<(i64, usize)> {
        let mut listener = Listener::default();
        let mut told = HashSet::new();
        let mut found = Vec::new();
        for second in (0..until).step_by(5) {
            let mut servers = servers(second * SECOND);
            for seen in &mut servers {
                seen.excused |= told.contains(&seen.server_id);
            }
            let places = listener.look(second * SECOND, &servers);
            if !places.is_empty() {
                found.push((second, places.len()));
            }
            told.extend(places.into_iter().map(|place| servers[place].server_id));
        }
        found
    }

    #[test]
    fn a_server_is_offline_once_its_grace_is_over() {
        assert_eq!(listen(300, |_| vec![seen(1, 1)]), [(95, 1)]);
        // Reports until 60 s, then none.
        assert_eq!(listen(300, |now| vec![seen(1, now.min(60 * SECOND))]), [(155, 1)]);
    }

    #[test]
    fn whoever_begins_to_listen_gives_everybody_the_whole_grace() {
        // Silent for a day already by the database's word.
        assert_eq!(listen(90, |_| vec![seen(1, -86_400_000)]), []);
    }

    #[test]
    fn after_deafness_everybody_has_the_grace_again() {
        let mut listener = Listener::default();
        let servers = [seen(1, 1)];
        assert!(listener.look(0, &servers).is_empty());
        assert!(listener.look(DEAF + 600 * SECOND, &servers).is_empty(), "ten minutes without the database");
        let mut now = DEAF + 600 * SECOND;
        let until = now + 3 * INTERVAL;
        while now < until {
            now += 5 * SECOND;
            assert!(listener.look(now, &servers).is_empty());
        }
        assert_eq!(listener.look(now + 5 * SECOND, &servers), [0]);
    }

    #[test]
    fn servers_that_vanish_together_are_told_together() {
        // Their last reports are spread over one interval.
        let last = |n: u128| 60 * SECOND + i64::try_from(n).unwrap() * 2 * SECOND;
        let told = listen(400, |now| (0..12).map(|n| seen(n, now.min(last(n)))).collect());
        assert_eq!(told.iter().map(|(_, count)| count).sum::<usize>(), 12);
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn nobody_waits_for_long_for_one_that_is_merely_late() {
        // One vanished; another reports once an hour and is late for half an hour.
        let told = listen(400, |_| {
            let slow = Seen { interval: 40 * SECOND, grace: 4000 * SECOND, ..seen(2, 1) };
            vec![seen(1, 1), slow]
        });
        assert_eq!(told, [(155, 1)]);
    }

    #[test]
    fn another_chat_does_not_wait() {
        let told = listen(120, |_| {
            vec![seen(1, 1), Seen { chat_id: ChatId(2), interval: 50 * SECOND, grace: 500 * SECOND, ..seen(2, 1) }]
        });
        assert_eq!(told, [(95, 1)]);
    }
}
