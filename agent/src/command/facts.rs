//! What is remembered of commands: one fact a line of the ledger, and what all lines together say.

use std::collections::{BTreeMap, HashSet};

use osm_protocol::{
    action::{Action, Outcome, OutcomeKind},
    command::{TOLERANCE_MS, VALID_MAX_MS},
    ids::{CommandId, KeyId},
};
use serde::{Deserialize, Serialize};

use super::{
    ended::Ended,
    reboot::{self, Due},
};
use crate::host::{clock::Moment, identity::BootId};

/// How long the past counts for the rates.
const MEMORY_MS: i64 = 25 * HOUR_MS;
const HOUR_MS: i64 = 3_600_000;
/// An outcome that nobody took in a week is of no more use.
const OUTCOME_MS: i64 = 7 * 24 * 3_600_000;
/// Refusals that wait for the backend to take their outcome.
pub const REFUSED_MAX: usize = 400;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    /// A command was taken up; it is about to be done, or refused.
    Taken(Taken),
    Outcome {
        jti: CommandId,
        outcome: Outcome,
    },
    /// The backend has the outcome.
    Delivered {
        jti: CommandId,
    },
    /// The highest seq of an agent key, when its commands are no longer kept.
    Seq {
        key: KeyId,
        seq: i64,
    },
    /// A newer key set was taken up: what the keys before it have used up ahead of the clock is given back.
    Lowered {
        seq: i64,
    },
    /// Facts were lost: under no agent key anything is taken up with this seq or a lower one.
    Floor {
        seq: i64,
    },
}

/// A command, as far as it must be remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    pub seq: i64,
    pub jti: CommandId,
    /// Thumbprint of the agent's key: a new pairing counts from the beginning.
    pub key: KeyId,
    /// Hash of the boot it was taken up in.
    pub boot: BootId,
    /// When it was taken up, by the clocks of this host: the backend's would let a stolen backend lift the rates.
    pub at: Moment,
    /// What was going to be done; `None` where it was refused, so that a refusal does not count for the rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Action>,
    /// Until when its envelope is good, by the host's clock: for so long its id is remembered, done or refused.
    pub exp: i64,
    /// Of a reboot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Due>,
    /// The backend has its outcome; only the rates remember it.
    #[serde(default)]
    pub delivered: bool,
}

impl Taken {
    /// Tells whether its envelope is still good: then it must be known when it comes again. Longer than any envelope is good no
    /// clock that was set back makes it so.
    fn may_come_again(&self, boot: &BootId, now: Moment) -> bool {
        now.host <= self.exp.saturating_add(TOLERANCE_MS) && self.age(boot, now) <= 2 * VALID_MAX_MS + 2 * TOLERANCE_MS
    }

    /// Tells how long ago it was taken up: by the boot clock within its boot, since nobody can set that one.
    fn age(&self, boot: &BootId, now: Moment) -> i64 {
        if self.boot == *boot { now.boot.saturating_sub(self.at.boot) } else { now.host.saturating_sub(self.at.host) }
    }
}

/// All that is known.
#[derive(Debug, Default)]
pub struct Facts {
    taken: Vec<Taken>,
    /// Oldest first.
    outcomes: Vec<(CommandId, Outcome)>,
    /// The highest seq of each agent key.
    seqs: BTreeMap<KeyId, i64>,
    floor: Option<i64>,
}

/// Lines in the middle could not be read: facts are missing.
#[derive(Debug, PartialEq, Eq)]
pub struct Damaged;

impl Facts {
    /// Reads the lines of a ledger. A torn last line is one whose writing never returned: nothing followed from it.
    pub fn from_lines(bytes: &[u8]) -> (Self, Result<(), Damaged>) {
        let mut facts = Self::default();
        let mut whole = Ok(());
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            match line.strip_suffix(b"\n").map(serde_json::from_slice::<Fact>) {
                Some(Ok(fact)) => facts.add(fact),
                Some(Err(_)) => whole = Err(Damaged),
                None => log::debug!("the ledger's last line is torn: nothing followed from it"),
            }
        }
        (facts, whole)
    }

    /// Lists what still counts, as facts of their own.
    pub fn all(&self) -> impl Iterator<Item = Fact> {
        let floor = self.floor.map(|seq| Fact::Floor { seq });
        let seqs = self.seqs.iter().map(|(key, seq)| Fact::Seq { key: *key, seq: *seq });
        let taken = self.taken.iter().cloned().map(Fact::Taken);
        let outcomes = self.outcomes.iter().map(|(jti, outcome)| Fact::Outcome { jti: *jti, outcome: outcome.clone() });
        floor.into_iter().chain(seqs).chain(taken).chain(outcomes)
    }

    pub fn add(&mut self, fact: Fact) {
        match fact {
            Fact::Taken(taken) => {
                self.raise(taken.key, taken.seq);
                self.taken.push(taken);
            }
            Fact::Outcome { jti, outcome } => self.outcomes.push((jti, outcome)),
            Fact::Delivered { jti } => {
                self.outcomes.retain(|(of, _)| *of != jti);
                if let Some(taken) = self.taken.iter_mut().find(|taken| taken.jti == jti) {
                    taken.delivered = true;
                }
            }
            Fact::Seq { key, seq } => self.raise(key, seq),
            Fact::Lowered { seq } => {
                self.floor = self.floor.map(|held| held.min(seq));
                // Those of the commands too: read again from the file, they would raise it again.
                for held in self.seqs.values_mut().chain(self.taken.iter_mut().map(|taken| &mut taken.seq)) {
                    *held = seq.min(*held);
                }
            }
            Fact::Floor { seq } => self.floor = self.floor.max(Some(seq)),
        }
    }

    fn raise(&mut self, key: KeyId, seq: i64) {
        let held = self.seqs.entry(key).or_insert(seq);
        *held = seq.max(*held);
    }

    /// Gives the highest seq taken up under this agent key, or that counts as taken up.
    pub fn last_seq(&self, key: KeyId) -> i64 {
        let of_key = self.seqs.get(&key).copied();
        of_key.max(self.floor).unwrap_or(0)
    }

    pub fn knows(&self, jti: CommandId) -> bool {
        self.taken.iter().any(|taken| taken.jti == jti)
    }

    pub fn has_outcome(&self, jti: CommandId) -> bool {
        self.outcomes.iter().any(|(of, _)| *of == jti)
    }

    /// Lists the outcomes of commands under this agent key that the backend has not taken, oldest first.
    pub fn open_outcomes(&self, key: KeyId) -> Vec<(CommandId, Outcome)> {
        let of_key = |jti: CommandId| self.taken.iter().any(|taken| taken.jti == jti && taken.key == key);
        self.outcomes.iter().filter(|(jti, _)| of_key(*jti)).cloned().collect()
    }

    /// Finds the reboot that is ahead under this agent key: its command, and when it is due.
    pub fn open_reboot(&self, key: KeyId) -> Option<(CommandId, Due)> {
        let mut open = self.taken.iter().filter(|taken| taken.key == key && self.is_open(taken));
        open.find_map(|taken| Some((taken.jti, taken.due?)))
    }

    /// Lists how many milliseconds ago actions like this one were taken up, for the rates. One that lies ahead of a clock that
    /// was set back counts as long as it would have.
    pub fn ages(&self, boot: &BootId, now: Moment, action: &Action) -> Vec<u64> {
        let alike = self.taken.iter().filter(|taken| taken.act.as_ref().is_some_and(|act| act.is_like(action)));
        alike.map(|taken| taken.age(boot, now).unsigned_abs()).collect()
    }

    fn is_open(&self, taken: &Taken) -> bool {
        !taken.delivered && !self.has_outcome(taken.jti)
    }

    /// Ends what a crash or a reboot has left open: a command without outcome died with the agent; a reboot ended with another
    /// boot, or is still ahead.
    pub fn settle(&mut self, boot: &BootId, now: i64) {
        let open = self.taken.iter().filter(|taken| self.is_open(taken));
        let settled: Vec<_> = open.filter_map(|taken| Some((taken.jti, settled(taken, boot, now)?))).collect();
        self.outcomes.extend(
            settled.into_iter().map(|(jti, Ended { result, reason, detail })| (jti, Outcome { result, reason, detail, at: now })),
        );
    }

    /// Forgets what is over. A clock that is far behind (1970, before its first correction) makes nothing be forgotten.
    pub fn forget(&mut self, boot: &BootId, now: Moment) {
        let waiting: HashSet<CommandId> = self.outcomes.iter().map(|(jti, _)| *jti).collect();
        let newest = self.newest_acts();
        self.taken.retain(|taken| {
            let age = taken.age(boot, now);
            // Within the hour each counts; before it the newest, for the gap between two, and reboots, which are counted by
            // the day.
            let is_counted = age < HOUR_MS || newest.contains(&taken.jti) || matches!(taken.act, Some(Action::Reboot {}));
            let counts_for_the_rates = taken.act.is_some() && age < MEMORY_MS && is_counted;
            let outcome_is_of_use = waiting.contains(&taken.jti) && age < OUTCOME_MS;
            counts_for_the_rates || outcome_is_of_use || taken.may_come_again(boot, now)
        });
        self.crowd_out_refusals(boot, now);
        let kept: HashSet<CommandId> = self.taken.iter().map(|taken| taken.jti).collect();
        self.outcomes.retain(|(jti, _)| kept.contains(jti));
    }

    /// Lists the newest of each kind of act.
    fn newest_acts(&self) -> HashSet<CommandId> {
        let mut seen: Vec<&Action> = Vec::new();
        let mut newest = HashSet::new();
        for (jti, act) in self.taken.iter().rev().filter_map(|taken| Some((taken.jti, taken.act.as_ref()?))) {
            if !seen.iter().any(|other| other.is_like(act)) {
                seen.push(act);
                newest.insert(jti);
            }
        }
        newest
    }

    /// Forgets the oldest refusals beyond a number. What was done is never crowded out: it is the memory of the rates. Nor is the
    /// id of an envelope that is still good.
    fn crowd_out_refusals(&mut self, boot: &BootId, now: Moment) {
        let old = |taken: &&Taken| taken.act.is_none() && !taken.may_come_again(boot, now);
        let refused: Vec<CommandId> = self.taken.iter().filter(old).map(|taken| taken.jti).collect();
        let surplus = refused.len().saturating_sub(REFUSED_MAX);
        let crowded_out: HashSet<CommandId> = refused.into_iter().take(surplus).collect();
        self.taken.retain(|taken| !crowded_out.contains(&taken.jti));
    }
}

/// Says how a command has ended that was left open; `None` for a reboot that is still ahead.
fn settled(taken: &Taken, boot: &BootId, now: i64) -> Option<Ended> {
    match taken.due {
        Some(_) if taken.boot == *boot => None,
        Some(due) => Some(reboot::proven(due, now)),
        None => {
            log::warn!("command {} was begun and its end was not seen; it is not run again", taken.jti);
            let detail = "the agent stopped while it was doing this; look at the service before asking again";
            Some(Ended::new(OutcomeKind::Indeterminate, detail))
        }
    }
}
