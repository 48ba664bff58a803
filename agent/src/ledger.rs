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

use osm_protocol::action::{Action, Outcome, OutcomeKind};
use serde::{Deserialize, Serialize};

use crate::{crash::crash_point, durable};

/// The file is rewritten without what is over once it has grown to this.
const COMPACT_AT: u64 = if cfg!(test) { 8 * 1024 } else { 256 * 1024 };
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// How long the past counts for the rates.
const MEMORY_MS: i64 = 25 * 3_600_000;
/// An outcome that nobody took in a week is of no more use.
const OUTCOME_MS: i64 = 7 * 24 * 3_600_000;
/// More than the rates let through in that time.
const TAKEN_MAX: usize = 400;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
enum Fact {
    /// A command was taken up; it is about to be done, or refused.
    Taken(Taken),
    Outcome {
        jti: String,
        outcome: Outcome,
    },
    /// The backend has the outcome.
    Delivered {
        jti: String,
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
    pub jti: String,
    /// Thumbprint of the agent's key: a new pairing counts from the beginning.
    pub key: String,
    /// Hash of the boot it was taken up in.
    pub boot: String,
    /// By the backend's clock, as known then.
    pub at: i64,
    /// What was going to be done; `None` where it was refused, so that a refusal does not count for the rates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Action>,
    /// The backend has its outcome; only the rates remember it.
    #[serde(default)]
    pub delivered: bool,
}

pub struct Ledger {
    path: PathBuf,
    file: File,
    size: u64,
    facts: Facts,
}

/// What the file says, in memory.
#[derive(Debug, Default)]
struct Facts {
    taken: Vec<Taken>,
    outcomes: Vec<(String, Outcome)>,
    seqs: Vec<(String, i64)>,
    /// Something in the middle could not be read: facts are missing.
    damaged: bool,
}

impl Ledger {
    /// Opens the ledger and settles what a crash has left open. `now` is the best known time.
    pub fn open(path: &Path, now: i64) -> io::Result<Self> {
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
                *seq = (*seq).max(now);
            }
            facts.seqs.push(("*".to_owned(), now));
        }
        facts.settle(now);
        facts.forget(now);
        let (file, size) = facts.write(path)?;
        crash_point!("ledger.opened");
        Ok(Self { path: path.to_owned(), file, size, facts })
    }

    /// The highest seq taken up under this agent key.
    pub fn last_seq(&self, key: &str) -> i64 {
        self.facts.seqs.iter().filter(|(of, _)| of == key || of == "*").map(|(_, seq)| *seq).max().unwrap_or(0)
    }

    pub fn knows(&self, jti: &str) -> bool {
        self.facts.taken.iter().any(|taken| taken.jti == jti)
    }

    /// Times at which actions of this kind were taken up, for the rates.
    pub fn past<'a>(&'a self, matches: impl Fn(&Action) -> bool + 'a) -> impl Iterator<Item = i64> + 'a {
        self.facts.taken.iter().filter(move |taken| taken.act.as_ref().is_some_and(&matches)).map(|taken| taken.at)
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
        let jti = taken.jti.clone();
        let facts = [Fact::Taken(Taken { act: None, ..taken }), Fact::Outcome { jti, outcome }];
        self.append(&facts)?;
        for fact in facts {
            self.facts.add(fact);
        }
        crash_point!("ledger.refused");
        Ok(())
    }

    pub fn finish(&mut self, jti: &str, outcome: Outcome) -> io::Result<()> {
        crash_point!("ledger.before_outcome");
        let fact = Fact::Outcome { jti: jti.to_owned(), outcome };
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
    pub fn open_outcomes(&self, key: &str) -> Vec<(String, Outcome)> {
        let of_key = |jti: &str| self.facts.taken.iter().any(|taken| taken.jti == jti && taken.key == key);
        self.facts.outcomes.iter().filter(|(jti, _)| of_key(jti)).cloned().collect()
    }

    pub fn delivered(&mut self, jti: &str) -> io::Result<()> {
        crash_point!("outcome.acknowledged");
        let fact = Fact::Delivered { jti: jti.to_owned() };
        let written = self.append(std::slice::from_ref(&fact));
        self.facts.add(fact);
        crash_point!("outcome.delivered");
        written
    }

    fn append(&mut self, facts: &[Fact]) -> io::Result<()> {
        if self.size > COMPACT_AT {
            self.facts.forget(crate::clock::host_now());
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

    /// A command without outcome died with the agent.
    fn settle(&mut self, now: i64) {
        let open = self.taken.iter().filter(|taken| !taken.delivered);
        let died: Vec<String> =
            open.filter(|taken| self.outcomes.iter().all(|(jti, _)| *jti != taken.jti)).map(|taken| taken.jti.clone()).collect();
        for jti in died {
            log::warn!("command {jti} was begun and its end was not seen; it is not run again");
            let outcome = Outcome {
                result: OutcomeKind::Indeterminate,
                reason: None,
                detail: "the agent stopped while it was doing this; look at the service before asking again".to_owned(),
                at: now,
            };
            self.outcomes.push((jti, outcome));
        }
    }

    /// What is over goes. A clock that is far behind (1970, before its first correction) makes nothing be forgotten.
    fn forget(&mut self, now: i64) {
        let age = |at: i64| now.saturating_sub(at);
        self.outcomes.retain(|(_, outcome)| age(outcome.at) < OUTCOME_MS);
        let outcomes = &self.outcomes;
        self.taken.retain(|taken| age(taken.at) < MEMORY_MS || outcomes.iter().any(|(jti, _)| *jti == taken.jti));
        let surplus = self.taken.len().saturating_sub(TAKEN_MAX);
        self.taken.drain(..surplus);
        let surplus = self.outcomes.len().saturating_sub(TAKEN_MAX);
        self.outcomes.drain(..surplus);
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
            line(&Fact::Outcome { jti: jti.clone(), outcome: outcome.clone() })?;
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
