//! What was taken up, and what came of it: one line a fact, synced before anything follows from it.
//!
//! A command is written down before it is acted upon, so that it runs at most once whatever crashes; one that was
//! written down and has no outcome died with the agent: it is `indeterminate`, and never run again. An outcome stays
//! until the backend has taken it. The times of past actions are the memory of the rates.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use osm_protocol::{
    action::{Action, Outcome, OutcomeKind},
    ids::CommandId,
};
use serde::{Deserialize, Serialize};

use crate::{
    command::act,
    crash::crash_point,
    host::{clock::Moment, durable},
};

/// The file is rewritten without what is over once it has grown to this.
const COMPACT_AT: u64 = if cfg!(test) { 8 * 1024 } else { 256 * 1024 };
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// How long the past counts for the rates.
const MEMORY_MS: i64 = 25 * 3_600_000;
/// An outcome that nobody took in a week is of no more use.
const OUTCOME_MS: i64 = 7 * 24 * 3_600_000;
/// Refusals that wait for the backend to take their outcome.
const REFUSED_MAX: usize = 400;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
enum Fact {
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
        key: String,
        seq: i64,
    },
}

/// A command, as far as it must be remembered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Taken {
    pub seq: i64,
    pub jti: CommandId,
    /// Thumbprint of the agent's key: a new pairing counts from the beginning.
    pub key: String,
    /// Hash of the boot it was taken up in.
    pub boot: String,
    /// When it was taken up, by the clocks of this host: the backend's would let a stolen backend lift the rates.
    pub at: Moment,
    /// What was going to be done; `None` where it was refused, so that a refusal does not count for the rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Action>,
    /// Of a reboot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Due>,
    /// The backend has its outcome; only the rates remember it.
    #[serde(default)]
    pub delivered: bool,
}

/// A reboot that is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    /// Milliseconds since the Unix epoch by the host's clock, as logind knows it.
    pub at: i64,
    /// When the init of this boot began, as [`crate::host::systemd::Systemd::init_started`] says it. In a container the kernel's boot
    /// id may be that of its host.
    pub init: Option<u64>,
}

impl Taken {
    /// How long ago, by the boot clock within its boot, since nobody can set that one.
    fn age(&self, boot: &str, now: Moment) -> i64 {
        if self.boot == boot { now.boot.saturating_sub(self.at.boot) } else { now.host.saturating_sub(self.at.host) }
    }
}

pub struct Ledger {
    path: PathBuf,
    boot: String,
    file: File,
    size: u64,
    facts: Facts,
}

/// What the file says, in memory.
#[derive(Debug, Default)]
struct Facts {
    taken: Vec<Taken>,
    outcomes: Vec<(CommandId, Outcome)>,
    seqs: Vec<(String, i64)>,
    /// Something in the middle could not be read: facts are missing.
    damaged: bool,
}

impl Ledger {
    /// Opens the ledger in this boot, and settles what a crash or a reboot has left open.
    pub fn open(path: &Path, boot: &str, now: Moment) -> io::Result<Self> {
        let bytes = durable::read(path, FILE_MAX)?.unwrap_or_default();
        let mut facts = Facts::from_lines(&bytes);
        if facts.damaged {
            let aside = path.with_extension("damaged");
            log::error!(
                "{} is damaged; it is kept as {}. Every command issued before now is refused",
                path.display(),
                aside.display()
            );
            durable::replace(&aside, &bytes, 0o600)?;
            // seq is at least the time of issue: nothing issued before now can run (again).
            for (_, seq) in &mut facts.seqs {
                *seq = (*seq).max(now.host);
            }
            facts.seqs.push(("*".to_owned(), now.host));
        }
        facts.settle(boot, now.host);
        facts.forget(boot, now);
        let (file, size) = facts.write(path)?;
        crash_point!("ledger.opened");
        Ok(Self { path: path.to_owned(), boot: boot.to_owned(), file, size, facts })
    }

    /// The highest seq taken up under this agent key.
    pub fn last_seq(&self, key: &str) -> i64 {
        self.facts.seqs.iter().filter(|(of, _)| of == key || of == "*").map(|(_, seq)| *seq).max().unwrap_or(0)
    }

    pub fn knows(&self, jti: CommandId) -> bool {
        self.facts.taken.iter().any(|taken| taken.jti == jti)
    }

    /// How long ago actions of this kind were taken up, in milliseconds, for the rates. One that lies ahead of a clock that was
    /// set back counts as long as it would have.
    pub fn ages<'a>(&'a self, now: Moment, matches: impl Fn(&Action) -> bool + 'a) -> impl Iterator<Item = u64> + 'a {
        let acts = self.facts.taken.iter().filter(move |taken| taken.act.as_ref().is_some_and(&matches));
        acts.map(move |taken| taken.age(&self.boot, now).unsigned_abs())
    }

    /// The reboot that is ahead: its command, and when it is due.
    pub fn open_reboot(&self, key: &str) -> Option<(CommandId, Due)> {
        let open = |taken: &&Taken| taken.key == key && !taken.delivered && !self.facts.has_outcome(taken.jti);
        self.facts.taken.iter().filter(open).find_map(|taken| Some((taken.jti, taken.due?)))
    }

    /// Writes down that a command is about to be done. Only when this returns may it be done.
    pub fn take(&mut self, taken: Taken) -> io::Result<()> {
        crash_point!("ledger.before_taken");
        self.append(&[Fact::Taken(taken.clone())])?;
        self.facts.add(Fact::Taken(taken));
        crash_point!("ledger.taken");
        Ok(())
    }

    /// Writes down that a command is refused: both facts in one step.
    pub fn refuse(&mut self, taken: Taken, outcome: Outcome) -> io::Result<()> {
        let jti = taken.jti;
        let facts = [Fact::Taken(Taken { act: None, ..taken }), Fact::Outcome { jti, outcome }];
        self.append(&facts)?;
        for fact in facts {
            self.facts.add(fact);
        }
        crash_point!("ledger.refused");
        Ok(())
    }

    /// Writes down how a command ended; the first word counts.
    pub fn finish(&mut self, jti: CommandId, outcome: Outcome) -> io::Result<()> {
        if self.facts.has_outcome(jti) {
            return Ok(());
        }
        crash_point!("ledger.before_outcome");
        let fact = Fact::Outcome { jti, outcome };
        let written = self.append(std::slice::from_ref(&fact));
        // Even when the disk is full the backend should hear of it; after a restart it would be indeterminate.
        self.facts.add(fact);
        crash_point!("ledger.outcome");
        written
    }

    /// Uses up a seq without a command that could be named.
    pub fn skip(&mut self, key: &str, seq: i64) -> io::Result<()> {
        let fact = Fact::Seq { key: key.to_owned(), seq };
        self.append(std::slice::from_ref(&fact))?;
        self.facts.add(fact);
        Ok(())
    }

    /// Outcomes of commands under this agent key that the backend has not taken, oldest first.
    pub fn open_outcomes(&self, key: &str) -> Vec<(CommandId, Outcome)> {
        let of_key = |jti: CommandId| self.facts.taken.iter().any(|taken| taken.jti == jti && taken.key == key);
        self.facts.outcomes.iter().filter(|(jti, _)| of_key(*jti)).cloned().collect()
    }

    pub fn delivered(&mut self, jti: CommandId) -> io::Result<()> {
        crash_point!("outcome.acknowledged");
        let fact = Fact::Delivered { jti };
        let written = self.append(std::slice::from_ref(&fact));
        self.facts.add(fact);
        crash_point!("outcome.delivered");
        written
    }

    fn append(&mut self, facts: &[Fact]) -> io::Result<()> {
        if self.size > COMPACT_AT {
            self.facts.forget(&self.boot, Moment::now());
            (self.file, self.size) = self.facts.write(&self.path)?;
        }
        let mut lines = Vec::new();
        for fact in facts {
            serde_json::to_writer(&mut lines, fact)?;
            lines.push(b'\n');
        }
        let written = self.file.write_all(&lines).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Half a line must not be taken for part of the next one.
            let _ = self.file.set_len(self.size);
        } else {
            self.size += lines.len() as u64;
        }
        written
    }
}

impl Facts {
    /// A torn last line is one whose writing never returned: nothing followed from it.
    fn from_lines(bytes: &[u8]) -> Self {
        let mut facts = Self::default();
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            match line.strip_suffix(b"\n").map(serde_json::from_slice::<Fact>) {
                Some(Ok(fact)) => facts.add(fact),
                Some(Err(_)) => facts.damaged = true,
                None => log::debug!("the ledger's last line is torn: nothing followed from it"),
            }
        }
        facts
    }

    fn add(&mut self, fact: Fact) {
        match fact {
            Fact::Taken(taken) => {
                self.raise(&taken.key, taken.seq);
                self.taken.push(taken);
            }
            Fact::Outcome { jti, outcome } => self.outcomes.push((jti, outcome)),
            Fact::Delivered { jti } => {
                self.outcomes.retain(|(of, _)| *of != jti);
                if let Some(taken) = self.taken.iter_mut().find(|taken| taken.jti == jti) {
                    taken.delivered = true;
                }
            }
            Fact::Seq { key, seq } => self.raise(&key, seq),
        }
    }

    fn raise(&mut self, key: &str, seq: i64) {
        match self.seqs.iter_mut().find(|(of, _)| of == key) {
            Some((_, held)) => *held = seq.max(*held),
            None => self.seqs.push((key.to_owned(), seq)),
        }
    }

    fn has_outcome(&self, jti: CommandId) -> bool {
        self.outcomes.iter().any(|(of, _)| *of == jti)
    }

    /// A command without outcome died with the agent. A reboot ended with another boot, or is still ahead.
    fn settle(&mut self, boot: &str, now: i64) {
        let mut settled = Vec::new();
        for taken in self.taken.iter().filter(|taken| !taken.delivered && !self.has_outcome(taken.jti)) {
            let (result, reason, detail) = match taken.due {
                Some(_) if taken.boot == boot => continue,
                Some(due) => act::rebooted(due.at, now),
                None => {
                    log::warn!("command {} was begun and its end was not seen; it is not run again", taken.jti);
                    let detail = "the agent stopped while it was doing this; look at the service before asking again";
                    (OutcomeKind::Indeterminate, None, detail.to_owned())
                }
            };
            settled.push((taken.jti, Outcome { result, reason, detail, at: now }));
        }
        self.outcomes.extend(settled);
    }

    /// What is over goes. A clock that is far behind (1970, before its first correction) makes nothing be forgotten.
    fn forget(&mut self, boot: &str, now: Moment) {
        let outcomes = &self.outcomes;
        let is_open = |taken: &Taken| outcomes.iter().any(|(jti, _)| *jti == taken.jti);
        self.taken.retain(|taken| {
            let age = taken.age(boot, now);
            taken.act.is_some() && age < MEMORY_MS || is_open(taken) && age < OUTCOME_MS
        });
        // Refusals alone are crowded out: what was done is the memory of the rates.
        let mut surplus = self.taken.iter().filter(|taken| taken.act.is_none()).count().saturating_sub(REFUSED_MAX);
        self.taken.retain(|taken| {
            let goes = taken.act.is_none() && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
        let taken = &self.taken;
        self.outcomes.retain(|(jti, _)| taken.iter().any(|taken| taken.jti == *jti));
    }

    /// Rewrites the file with what still counts.
    fn write(&self, path: &Path) -> io::Result<(File, u64)> {
        let mut lines = Vec::new();
        let mut line = |fact: &Fact| -> io::Result<()> {
            serde_json::to_writer(&mut lines, fact)?;
            lines.push(b'\n');
            Ok(())
        };
        for (key, seq) in &self.seqs {
            line(&Fact::Seq { key: key.clone(), seq: *seq })?;
        }
        for taken in &self.taken {
            line(&Fact::Taken(taken.clone()))?;
        }
        for (jti, outcome) in &self.outcomes {
            line(&Fact::Outcome { jti: *jti, outcome: outcome.clone() })?;
        }
        if durable::read(path, FILE_MAX)?.as_deref() != Some(&lines) {
            durable::replace(path, &lines, 0o600)?;
        }
        let file = OpenOptions::new().append(true).mode(0o600).open(path)?;
        Ok((file, fs::metadata(path)?.len()))
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
