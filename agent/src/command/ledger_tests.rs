use super::*;

const NOW: i64 = 1_800_000_000_000;
const AT: Moment = Moment { host: NOW, boot: 5_000_000 };
const HOUR: i64 = 3_600_000;

fn jti(seq: i64) -> CommandId {
    format!("0190a6b0-7c00-7000-8000-{seq:012}").parse().unwrap()
}

fn taken(seq: i64) -> Taken {
    Taken {
        seq,
        jti: jti(seq),
        key: "k".to_owned(),
        boot: "b".to_owned(),
        at: AT,
        act: Some(Action::RestartService { unit: "nginx.service".to_owned() }),
        due: None,
        delivered: false,
    }
}

fn outcome(result: OutcomeKind) -> Outcome {
    Outcome { result, reason: None, detail: String::new(), at: NOW }
}

fn open(folder: &tempfile::TempDir) -> Ledger {
    open_at(folder, "b", AT)
}

fn open_at(folder: &tempfile::TempDir, boot: &str, now: Moment) -> Ledger {
    Ledger::open(&folder.path().join("ledger.jsonl"), boot, now).unwrap()
}

fn restarts(ledger: &Ledger) -> usize {
    ledger.ages(AT, |action| matches!(action, Action::RestartService { .. })).count()
}

#[test]
fn a_command_begun_and_not_ended_is_indeterminate_once_and_never_run_again() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).take(taken(7)).unwrap();
    // The agent died here.
    for _ in 0..3 {
        let ledger = open(&folder);
        assert_eq!(ledger.last_seq("k"), 7);
        assert!(ledger.knows(jti(7)));
        let outcomes = ledger.open_outcomes("k");
        assert_eq!(outcomes.len(), 1);
        assert_eq!(outcomes[0].1.result, OutcomeKind::Indeterminate);
    }
    open(&folder).delivered(jti(7)).unwrap();
    for _ in 0..2 {
        assert_eq!(open(&folder).open_outcomes("k"), []);
        assert_eq!(open(&folder).last_seq("k"), 7);
    }
}

#[test]
fn an_outcome_stays_until_it_was_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(&folder);
    ledger.take(taken(7)).unwrap();
    ledger.finish(jti(7), outcome(OutcomeKind::Succeeded)).unwrap();
    ledger.refuse(taken(8), outcome(OutcomeKind::Rejected)).unwrap();
    drop(ledger);
    let mut ledger = open(&folder);
    let results: Vec<_> = ledger.open_outcomes("k").into_iter().map(|(jti, outcome)| (jti, outcome.result)).collect();
    assert_eq!(results, [(jti(7), OutcomeKind::Succeeded), (jti(8), OutcomeKind::Rejected)]);
    ledger.delivered(jti(7)).unwrap();
    assert_eq!(open(&folder).open_outcomes("k").len(), 1);
}

#[test]
fn rates_outlive_a_restart_and_refusals_do_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(&folder);
    ledger.take(taken(7)).unwrap();
    ledger.finish(jti(7), outcome(OutcomeKind::Succeeded)).unwrap();
    ledger.delivered(jti(7)).unwrap();
    ledger.refuse(taken(8), outcome(OutcomeKind::Rejected)).unwrap();
    assert_eq!(restarts(&ledger), 1);
    drop(ledger);
    assert_eq!(restarts(&open(&folder)), 1);
    let later = open_at(&folder, "b", Moment { boot: AT.boot + 26 * HOUR, ..AT });
    assert_eq!(restarts(&later), 0);
    assert_eq!(later.last_seq("k"), 8, "what is forgotten keeps its seq");
}

#[test]
fn every_torn_tail_leaves_the_facts_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let mut ledger = open(&folder);
    ledger.take(taken(7)).unwrap();
    ledger.finish(jti(7), outcome(OutcomeKind::Succeeded)).unwrap();
    let before = fs::metadata(&path).unwrap().len();
    ledger.take(taken(8)).unwrap();
    drop(ledger);
    let whole = fs::read(&path).unwrap();
    for cut in usize::try_from(before).unwrap()..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let ledger = open(&folder);
        assert_eq!(ledger.last_seq("k"), 7, "cut at {cut}");
        assert_eq!(ledger.open_outcomes("k").len(), 1);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(open(&folder).last_seq("k"), 8);
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
    assert_eq!(ledger.last_seq("k"), NOW);
    assert_eq!(ledger.last_seq("another key"), NOW);
    assert_eq!(fs::read(path.with_extension("damaged")).unwrap(), bytes);
    assert_eq!(open(&folder).last_seq("another key"), NOW);
}

#[test]
fn another_key_counts_from_the_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(&folder);
    ledger.take(taken(7)).unwrap();
    assert_eq!(ledger.last_seq("k2"), 0);
}

#[test]
fn the_file_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.jsonl");
    let mut ledger = open(&folder);
    for seq in 0..100 {
        // Decades ago by the host's clock, so that they are forgotten.
        let at = Moment { host: seq, boot: seq };
        ledger.take(Taken { at, boot: "an old one".to_owned(), ..taken(seq) }).unwrap();
        ledger.finish(jti(seq), outcome(OutcomeKind::Succeeded)).unwrap();
        ledger.delivered(jti(seq)).unwrap();
    }
    assert!(fs::metadata(&path).unwrap().len() < 2 * COMPACT_AT);
    assert_eq!(ledger.last_seq("k"), 99);
}

#[test]
fn a_clock_of_1970_makes_nothing_be_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(&folder);
    ledger.take(taken(7)).unwrap();
    ledger.finish(jti(7), outcome(OutcomeKind::Succeeded)).unwrap();
    drop(ledger);
    let ledger = open_at(&folder, "another boot", Moment { host: 1_000, boot: 1_000 });
    assert_eq!(ledger.open_outcomes("k").len(), 1);
    assert_eq!(restarts(&ledger), 1);
}

#[test]
fn ages_go_by_the_boot_clock_within_a_boot_and_survive_a_clock_set_back() {
    let folder = tempfile::tempdir().unwrap();
    open(&folder).take(taken(7)).unwrap();
    let ages = |boot, now| open_at(&folder, boot, now).ages(now, |_| true).collect::<Vec<_>>();
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
        ledger.refuse(taken(seq), outcome(OutcomeKind::Rejected)).unwrap();
    }
    drop(ledger);
    let ledger = open(&folder);
    assert_eq!(restarts(&ledger), 1);
    assert_eq!(ledger.open_outcomes("k").len(), 1 + REFUSED_MAX, "the newest, and that of the restart");
}

#[test]
fn a_reboot_ends_with_another_boot_and_is_awaited_in_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let due = Due { at: NOW + 60_000, init: None };
    open(&folder).take(Taken { act: Some(Action::Reboot {}), due: Some(due), ..taken(7) }).unwrap();
    let ledger = open(&folder);
    assert_eq!((ledger.open_reboot("k"), ledger.open_outcomes("k")), (Some((jti(7), due)), vec![]));
    let back = open_at(&folder, "another boot", Moment { host: NOW + 60_000 + 41_000, boot: 9_000 });
    let outcomes = back.open_outcomes("k");
    assert_eq!((outcomes[0].1.result, outcomes[0].1.detail.as_str()), (OutcomeKind::Succeeded, "back after 41 s"));
    assert_eq!(back.open_reboot("k"), None);
}

#[test]
fn the_first_word_on_a_command_counts() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(&folder);
    ledger.take(taken(7)).unwrap();
    ledger.finish(jti(7), outcome(OutcomeKind::Cancelled)).unwrap();
    ledger.finish(jti(7), outcome(OutcomeKind::Failed)).unwrap();
    let results: Vec<_> = ledger.open_outcomes("k").into_iter().map(|(_, outcome)| outcome.result).collect();
    assert_eq!(results, [OutcomeKind::Cancelled]);
}
