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
    action::{Action, Outcome},
    ids::{CommandId, KeyId},
};

use super::{
    facts::{Damaged, Fact, Facts, Taken},
    reboot::Due,
};
use crate::{
    crash,
    host::{clock::Moment, durable, identity::BootId},
};

/// The file is rewritten without what is over once it has doubled since the last time, and not while it is smaller than this: so
/// what is written stays within a few times what is kept.
const COMPACT_AT: u64 = if cfg!(test) { 8 * 1024 } else { 256 * 1024 };
const FILE_MAX: u64 = 16 * 1024 * 1024;
/// How far behind the host's clock a newer key set lowers what counts as taken up: an honest command on its way stays new.
const LOWERED_BEHIND_MS: i64 = 30_000;

pub struct Ledger {
    path: PathBuf,
    boot: BootId,
    /// Why it cannot be used, where that is so: then nothing is done, and what is refused is known until the next start only.
    file: Result<Written, String>,
    facts: Facts,
}

/// The file that the facts are appended to.
struct Written {
    file: File,
    size: u64,
    /// Its size after it was last rewritten.
    compact: u64,
}

impl Ledger {
    /// Opens the ledger in this boot, and settles what a crash or a reboot has left open. One that cannot be used refuses all
    /// commands: everything else of the agent goes on.
    pub fn open(path: &Path, boot: &BootId, now: Moment) -> Self {
        Self::try_open(path, boot, now).unwrap_or_else(|error| {
            let why = format!("{} cannot be used: {error}", path.display());
            log::error!("{why}. Every command is refused");
            Self { path: path.to_owned(), boot: boot.clone(), file: Err(why), facts: Facts::default() }
        })
    }

    /// Says why every command is refused, where that is so.
    pub fn trouble(&self) -> Option<&str> {
        self.file.as_ref().err().map(String::as_str)
    }

    /// Tries again to use what could not be used.
    pub fn mend(&mut self, now: Moment) {
        if self.file.is_err()
            && let Ok(mended) = Self::try_open(&self.path, &self.boot, now)
        {
            log::info!("{} can be used again", self.path.display());
            *self = mended;
        }
    }

    fn try_open(path: &Path, boot: &BootId, now: Moment) -> io::Result<Self> {
        let bytes = durable::read(path, FILE_MAX)?.unwrap_or_default();
        let (mut facts, whole) = Facts::from_lines(&bytes);
        if whole == Err(Damaged) {
            set_aside(path, &bytes)?;
            // seq is at least the time of issue: nothing issued before now can run (again).
            facts.add(Fact::Floor { seq: now.host });
        }
        facts.settle(boot, now.host);
        facts.forget(boot, now);
        let file = Ok(rewrite(path, &facts)?);
        crash::point("ledger.opened");
        Ok(Self { path: path.to_owned(), boot: boot.clone(), file, facts })
    }

    /// Gives the highest seq under an agent key, see [`Facts::last_seq`].
    pub fn last_seq(&self, key: KeyId) -> i64 {
        self.facts.last_seq(key)
    }

    /// Says whether a command of this id was taken up, as long as it is remembered.
    pub fn knows(&self, jti: CommandId) -> bool {
        self.facts.knows(jti)
    }

    /// Lists how long ago the same was done, see [`Facts::ages`].
    pub fn ages(&self, now: Moment, action: &Action) -> Vec<u64> {
        self.facts.ages(&self.boot, now, action)
    }

    /// Finds the reboot that is ahead, see [`Facts::open_reboot`].
    pub fn open_reboot(&self, key: KeyId) -> Option<(CommandId, Due)> {
        self.facts.open_reboot(key)
    }

    /// Lists what the backend has not taken, see [`Facts::open_outcomes`].
    pub fn open_outcomes(&self, key: KeyId) -> Vec<(CommandId, Outcome)> {
        self.facts.open_outcomes(key)
    }

    /// Writes down that a command is about to be done. Only when this returns may it be done.
    pub fn take(&mut self, taken: Taken) -> io::Result<()> {
        crash::point("ledger.before_taken");
        let now = taken.at;
        self.append(vec![Fact::Taken(taken)], now)?;
        crash::point("ledger.taken");
        Ok(())
    }

    /// Writes down that a command is refused: both facts in one step. A ledger that cannot be used only remembers it.
    pub fn refuse(&mut self, taken: Taken, outcome: Outcome) -> io::Result<()> {
        let (jti, now) = (taken.jti, taken.at);
        let facts = vec![Fact::Taken(Taken { act: None, ..taken }), Fact::Outcome { jti, outcome }];
        if self.file.is_err() {
            for fact in facts {
                self.facts.add(fact);
            }
            self.facts.forget(&self.boot, now);
            return Ok(());
        }
        self.append(facts, now)?;
        crash::point("ledger.refused");
        Ok(())
    }

    /// Writes down how a command ended; the first word counts.
    pub fn finish(&mut self, jti: CommandId, outcome: Outcome, now: Moment) -> io::Result<()> {
        if self.facts.has_outcome(jti) {
            return Ok(());
        }
        crash::point("ledger.before_outcome");
        // Even when the disk is full the backend should hear of it; after a restart it would be indeterminate.
        let written = self.append_and_believe(Fact::Outcome { jti, outcome }, now);
        crash::point("ledger.outcome");
        written
    }

    /// Uses up a seq without a command that could be named.
    pub fn skip(&mut self, key: KeyId, seq: i64, now: Moment) -> io::Result<()> {
        self.append(vec![Fact::Seq { key, seq }], now)
    }

    /// Writes down that a newer key set was taken up: whatever the keys before it have used up ahead of the clock is given back.
    /// Rates and ids stay.
    pub fn lower(&mut self, now: Moment) -> io::Result<()> {
        self.append(vec![Fact::Lowered { seq: now.host - LOWERED_BEHIND_MS }], now)
    }

    /// Writes down that the backend has the outcome of a command.
    pub fn delivered(&mut self, jti: CommandId, now: Moment) -> io::Result<()> {
        crash::point("outcome.acknowledged");
        let written = self.append_and_believe(Fact::Delivered { jti }, now);
        crash::point("outcome.delivered");
        written
    }

    /// Appends facts in one step; they are believed only if that worked.
    fn append(&mut self, facts: Vec<Fact>, now: Moment) -> io::Result<()> {
        self.write(&facts, now)?;
        for fact in facts {
            self.facts.add(fact);
        }
        Ok(())
    }

    /// Appends a fact, and believes it until the next start even if that did not work.
    fn append_and_believe(&mut self, fact: Fact, now: Moment) -> io::Result<()> {
        let written = self.write(std::slice::from_ref(&fact), now);
        self.facts.add(fact);
        written
    }

    fn write(&mut self, facts: &[Fact], now: Moment) -> io::Result<()> {
        let written = self.file.as_mut().map_err(|why| io::Error::other(why.clone()))?;
        if written.size > COMPACT_AT.max(2 * written.compact) {
            self.facts.forget(&self.boot, now);
            *written = rewrite(&self.path, &self.facts)?;
        }
        written.append(&lines(facts.iter())?)
    }
}

impl Written {
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // Half a line must not be taken for part of the next one.
            let _ = self.file.set_len(self.size);
        } else {
            self.size += lines.len() as u64;
        }
        written
    }
}

/// Keeps a copy of a ledger that could not be read as a whole.
fn set_aside(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = path.with_extension("damaged");
    log::error!("{} is damaged; it is kept as {}. Every command issued before now is refused", path.display(), aside.display());
    durable::replace(&aside, bytes, 0o600)
}

/// Rewrites the file with what still counts, and opens it for more.
fn rewrite(path: &Path, facts: &Facts) -> io::Result<Written> {
    let all: Vec<Fact> = facts.all().collect();
    let lines = lines(all.iter())?;
    if durable::read(path, FILE_MAX)?.as_deref() != Some(&lines) {
        durable::replace(path, &lines, 0o600)?;
    }
    let file = OpenOptions::new().append(true).mode(0o600).open(path)?;
    let size = fs::metadata(path)?.len();
    Ok(Written { file, size, compact: size })
}

fn lines<'a>(facts: impl Iterator<Item = &'a Fact>) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for fact in facts {
        serde_json::to_writer(&mut lines, fact)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{facts::REFUSED_MAX, fixture::key_of};
    use osm_protocol::action::OutcomeKind;

    const NOW: i64 = 1_800_000_000_000;
    const AT: Moment = Moment { host: NOW, boot: 5_000_000 };
    const HOUR: i64 = 3_600_000;

    fn jti(seq: i64) -> CommandId {
        format!("0190a6b0-7c00-7000-8000-{seq:012}").parse().unwrap()
    }

    fn key() -> KeyId {
        key_of(1)
    }

    fn boot(name: &str) -> BootId {
        BootId::for_test(name)
    }

    fn taken(seq: i64) -> Taken {
        let exp = NOW + 120_000;
        Taken { seq, jti: jti(seq), key: key(), boot: boot("b"), at: AT, act: Some(restart()), exp, due: None, delivered: false }
    }

    fn restart() -> Action {
        Action::RestartService { unit: "nginx.service".to_owned() }
    }

    fn outcome(result: OutcomeKind) -> Outcome {
        Outcome { result, reason: None, detail: String::new(), at: NOW }
    }

    fn open(folder: &tempfile::TempDir) -> Ledger {
        open_at(folder, "b", AT)
    }

    fn open_at(folder: &tempfile::TempDir, name: &str, now: Moment) -> Ledger {
        let ledger = Ledger::open(&folder.path().join("ledger.jsonl"), &boot(name), now);
        assert_eq!(ledger.trouble(), None);
        ledger
    }

    fn restarts(ledger: &Ledger) -> usize {
        ledger.ages(AT, &restart()).len()
    }

    #[test]
    fn a_command_begun_and_not_ended_is_indeterminate_once_and_never_run_again() {
        let folder = tempfile::tempdir().unwrap();
        open(&folder).take(taken(7)).unwrap();
        // The agent died here.
        for _ in 0..3 {
            let ledger = open(&folder);
            assert_eq!(ledger.last_seq(key()), 7);
            assert!(ledger.knows(jti(7)));
            let outcomes = ledger.open_outcomes(key());
            assert_eq!(outcomes.len(), 1);
            assert_eq!(outcomes[0].1.result, OutcomeKind::Indeterminate);
        }
        open(&folder).delivered(jti(7), AT).unwrap();
        for _ in 0..2 {
            assert_eq!(open(&folder).open_outcomes(key()), []);
            assert_eq!(open(&folder).last_seq(key()), 7);
        }
    }

    #[test]
    fn an_outcome_stays_until_it_was_delivered() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(&folder);
        ledger.take(taken(7)).unwrap();
        ledger.finish(jti(7), outcome(OutcomeKind::Succeeded), AT).unwrap();
        ledger.refuse(taken(8), outcome(OutcomeKind::Rejected)).unwrap();
        drop(ledger);
        let mut ledger = open(&folder);
        let results: Vec<_> = ledger.open_outcomes(key()).into_iter().map(|(jti, outcome)| (jti, outcome.result)).collect();
        assert_eq!(results, [(jti(7), OutcomeKind::Succeeded), (jti(8), OutcomeKind::Rejected)]);
        ledger.delivered(jti(7), AT).unwrap();
        assert_eq!(open(&folder).open_outcomes(key()).len(), 1);
    }

    #[test]
    fn rates_outlive_a_restart_and_refusals_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(&folder);
        ledger.take(taken(7)).unwrap();
        ledger.finish(jti(7), outcome(OutcomeKind::Succeeded), AT).unwrap();
        ledger.delivered(jti(7), AT).unwrap();
        ledger.refuse(taken(8), outcome(OutcomeKind::Rejected)).unwrap();
        assert_eq!(restarts(&ledger), 1);
        drop(ledger);
        assert_eq!(restarts(&open(&folder)), 1);
        let later = open_at(&folder, "b", Moment { boot: AT.boot + 26 * HOUR, ..AT });
        assert_eq!(restarts(&later), 0);
        assert_eq!(later.last_seq(key()), 8, "what is forgotten keeps its seq");
    }

    #[test]
    fn every_torn_tail_leaves_the_facts_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = open(&folder);
        ledger.take(taken(7)).unwrap();
        ledger.finish(jti(7), outcome(OutcomeKind::Succeeded), AT).unwrap();
        let before = fs::metadata(&path).unwrap().len();
        ledger.take(taken(8)).unwrap();
        drop(ledger);
        let whole = fs::read(&path).unwrap();
        for cut in usize::try_from(before).unwrap()..whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let ledger = open(&folder);
            assert_eq!(ledger.last_seq(key()), 7, "cut at {cut}");
            assert_eq!(ledger.open_outcomes(key()).len(), 1);
        }
        fs::write(&path, &whole).unwrap();
        assert_eq!(open(&folder).last_seq(key()), 8);
    }

    #[test]
    fn a_damaged_ledger_refuses_everything_issued_before_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = open(&folder);
        ledger.take(taken(7)).unwrap();
        ledger.take(taken(8)).unwrap();
        drop(ledger);
        let mut bytes = fs::read(&path).unwrap();
        bytes[3] = 0xff;
        fs::write(&path, &bytes).unwrap();
        let ledger = open(&folder);
        assert_eq!(ledger.last_seq(key()), NOW);
        assert_eq!(ledger.last_seq(key_of(2)), NOW);
        assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), bytes);
        assert_eq!(open(&folder).last_seq(key_of(2)), NOW);
    }

    #[test]
    fn another_key_counts_from_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(&folder);
        ledger.take(taken(7)).unwrap();
        assert_eq!(ledger.last_seq(key_of(2)), 0);
    }

    #[test]
    fn the_file_stays_small() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.jsonl");
        let mut ledger = open(&folder);
        for seq in 0..100 {
            // Decades ago by the host's clock, so that they are forgotten.
            let at = Moment { host: seq, boot: seq };
            ledger.take(Taken { at, boot: boot("an old one"), ..taken(seq) }).unwrap();
            ledger.finish(jti(seq), outcome(OutcomeKind::Succeeded), AT).unwrap();
            ledger.delivered(jti(seq), AT).unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() < 2 * COMPACT_AT);
        assert_eq!(ledger.last_seq(key()), 99);
    }

    #[test]
    fn a_clock_of_1970_makes_nothing_be_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(&folder);
        ledger.take(taken(7)).unwrap();
        ledger.finish(jti(7), outcome(OutcomeKind::Succeeded), AT).unwrap();
        drop(ledger);
        let ledger = open_at(&folder, "another boot", Moment { host: 1_000, boot: 1_000 });
        assert_eq!(ledger.open_outcomes(key()).len(), 1);
        assert_eq!(restarts(&ledger), 1);
    }

    #[test]
    fn ages_go_by_the_boot_clock_within_a_boot_and_survive_a_clock_set_back() {
        let folder = tempfile::tempdir().unwrap();
        open(&folder).take(taken(7)).unwrap();
        let ages = |boot, now| open_at(&folder, boot, now).ages(now, &restart());
        // Whatever happens to the host's clock.
        assert_eq!(ages("b", Moment { host: NOW + 24 * HOUR, boot: AT.boot + 10 }), [10]);
        assert_eq!(ages("another", Moment { host: NOW + 20, boot: 1 }), [20]);
        assert_eq!(ages("another", Moment { host: NOW - 30, boot: 1 }), [30]);
    }

    #[test]
    fn no_number_of_refusals_crowds_out_what_was_done() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(&folder);
        ledger.take(taken(1)).unwrap();
        for seq in 2..1_000 {
            // Their envelopes are not good any more.
            let dead = Taken { exp: NOW - 60_000, ..taken(seq) };
            ledger.refuse(dead, outcome(OutcomeKind::Rejected)).unwrap();
        }
        drop(ledger);
        let ledger = open(&folder);
        assert_eq!(restarts(&ledger), 1);
        assert_eq!(ledger.open_outcomes(key()).len(), 1 + REFUSED_MAX, "the newest, and that of the restart");
    }

    #[test]
    fn a_reboot_ends_with_another_boot_and_is_awaited_in_this_one() {
        let folder = tempfile::tempdir().unwrap();
        let due = Due { at: NOW + 60_000, init: None };
        open(&folder).take(Taken { act: Some(Action::Reboot {}), due: Some(due), ..taken(7) }).unwrap();
        let ledger = open(&folder);
        assert_eq!((ledger.open_reboot(key()), ledger.open_outcomes(key())), (Some((jti(7), due)), vec![]));
        let back = open_at(&folder, "another boot", Moment { host: NOW + 60_000 + 41_000, boot: 9_000 });
        let outcomes = back.open_outcomes(key());
        assert_eq!((outcomes[0].1.result, outcomes[0].1.detail.as_str()), (OutcomeKind::Succeeded, "back after 41 s"));
        assert_eq!(back.open_reboot(key()), None);
    }

    #[test]
    fn the_first_word_on_a_command_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = open(&folder);
        ledger.take(taken(7)).unwrap();
        ledger.finish(jti(7), outcome(OutcomeKind::Cancelled), AT).unwrap();
        ledger.finish(jti(7), outcome(OutcomeKind::Failed), AT).unwrap();
        let results: Vec<_> = ledger.open_outcomes(key()).into_iter().map(|(_, outcome)| outcome.result).collect();
        assert_eq!(results, [OutcomeKind::Cancelled]);
    }
}
