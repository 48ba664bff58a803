//! A command key is stolen, and rotated: what the thief did ends with it (finding 3).

use std::fs;

use ed25519_dalek::SigningKey;
use osm_protocol::{
    action::{Action, OutcomeKind, Rejection},
    command::{Command, SEQ_AHEAD_MS},
    ids::CommandId,
};

use super::{
    execute::Handled,
    fixture::{AT, Host, NOW, command, jti, key, signed_by, us},
    ledger::Ledger,
};
use crate::host::clock::Moment;

/// What the thief has is the key that is trusted at first.
fn honest() -> SigningKey {
    SigningKey::from_bytes(&[2; 32])
}

fn id(number: u128) -> CommandId {
    format!("0190a6b0-7c00-7000-9000-{number:012}").parse().unwrap()
}

fn of_thief(number: u128, seq: i64, action: Action) -> Command {
    Command { jti: id(number), seq, action, ..command(1, NOW) }
}

fn size(host: &Host) -> u64 {
    fs::metadata(host.folder.path().join("ledger.jsonl")).unwrap().len()
}

#[tokio::test(start_paused = true)]
async fn what_a_stolen_key_used_up_ahead_of_the_clock_is_given_back_when_keys_rotate() {
    let mut host = Host::new();
    for beyond in [i64::MAX, NOW + SEQ_AHEAD_MS + 1] {
        let raw = signed_by(&key(), &of_thief(1, beyond, Action::CleanJournal {}));
        assert_eq!(host.handle(&raw).await, Handled::Ignored);
    }
    let ten_years = Command { exp: NOW + 10 * 365 * 86_400_000, ..of_thief(1, NOW, Action::CleanJournal {}) };
    assert_eq!(host.handle(&signed_by(&key(), &ten_years)).await, Handled::Ignored);
    // As far as it goes: a day.
    let far = signed_by(&key(), &of_thief(2, NOW + SEQ_AHEAD_MS, Action::RestartService { unit: "nginx.service".to_owned() }));
    assert_eq!(host.handle(&far).await, Handled::Recorded);
    let asked = |number| signed_by(&honest(), &Command { jti: id(number), ..command(NOW + 1_000, NOW) });
    assert_eq!(host.handle_under(&asked(3), &honest()).await, Handled::Ignored, "its seq is used up");

    host.ledger.borrow_mut().lower(AT).unwrap();
    host.restart_agent();
    assert_eq!(host.ledger.borrow().last_seq(us().key_id), NOW - 30_000);
    // The rates stay: the thief's restart was just now.
    assert_eq!(host.handle_under(&asked(4), &honest()).await, Handled::Recorded);
    let (_, outcome) = host.ledger.borrow().open_outcomes(us().key_id).pop().unwrap();
    assert_eq!((outcome.result, outcome.reason), (OutcomeKind::Rejected, Some(Rejection::Rate)));
    // And ids: the same envelopes do nothing again, done or refused, whoever is trusted.
    assert_eq!(host.handle(&far).await, Handled::Recorded, "passed over");
    assert_eq!(host.restarts(), 1);
    let thief = signed_by(&key(), &of_thief(5, NOW + 5_000, Action::CleanJournal {}));
    assert_eq!(host.handle_under(&thief, &honest()).await, Handled::UnknownKey);
}

#[tokio::test(start_paused = true)]
async fn ids_are_remembered_until_their_envelopes_are_dead_refused_ones_too() {
    let mut host = Host::new();
    let unit = "sshd.service".to_owned();
    for number in 0..600 {
        let seq = NOW - 20_000 + i64::try_from(number).unwrap();
        let refused = of_thief(number, seq, Action::RestartService { unit: unit.clone() });
        assert_eq!(host.handle(&signed_by(&key(), &refused)).await, Handled::Recorded);
    }
    host.restart_agent();
    assert!((0..600).all(|number| host.ledger.borrow().knows(id(number))));
    // Ten minutes later none of them is good any more, and of most nobody has to know.
    let later = Moment { host: NOW + 700_000, boot: AT.boot + 700_000 };
    let ledger = Ledger::open(&host.folder.path().join("ledger.jsonl"), &us().boot, later);
    assert!(!ledger.knows(id(0)) && ledger.knows(id(599)));
}

#[tokio::test(start_paused = true)]
async fn every_action_has_a_rate_and_calling_off_a_reboot_has_its_own() {
    let host = Host::new();
    let mut refused = 0;
    for number in 0..200 {
        let seq = NOW + i64::try_from(number).unwrap();
        // Whichever reboot it names.
        let raw = signed_by(&key(), &of_thief(number, seq, Action::CancelReboot { of: id(10_000 + number) }));
        assert_eq!(host.handle(&raw).await, Handled::Recorded);
        let (_, outcome) = host.ledger.borrow().open_outcomes(us().key_id).pop().unwrap();
        refused += usize::from(outcome.reason == Some(Rejection::Rate));
    }
    assert_eq!(refused, 190);
    assert_eq!(host.ledger.borrow().ages(AT, &Action::CancelReboot { of: jti(1) }).len(), 10);
}

/// A flood: what is kept stays small, and what is written is a few times what is kept.
#[tokio::test(start_paused = true)]
async fn a_flood_leaves_a_small_ledger() {
    let host = Host::new();
    let mut largest = 0;
    for number in 0..1_500_u64 {
        // As fast as the agent takes them up.
        let at = i64::try_from(number * 500).unwrap();
        let moment = Moment { host: NOW + at, boot: AT.boot + at };
        host.clock.set(moment);
        let now = moment.host;
        let flood = Command {
            jti: id(number.into()),
            action: Action::CancelReboot { of: id(u128::from(number) + 100_000) },
            ..command(now, now)
        };
        assert_eq!(host.handle(&signed_by(&key(), &flood)).await, Handled::Recorded);
        largest = largest.max(size(&host));
    }
    // Envelopes that are good for 2.5 minutes at two a second, and 400 refusals that wait for the backend.
    assert!(largest < 1024 * 1024, "{largest} bytes");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_used_refuses_by_name_until_it_can() {
    let mut host = Host::new();
    let path = host.folder.path().join("ledger.jsonl");
    fs::write(&path, vec![b'x'; 17 * 1024 * 1024]).unwrap();
    host.restart_agent();
    assert!(host.ledger.borrow().trouble().is_some_and(|why| why.contains("larger than")));
    let refused = host.ask(NOW).await;
    assert_eq!((refused.result, refused.reason), (OutcomeKind::Rejected, Some(Rejection::Unsupported)));
    assert!(refused.detail.contains("ledger.jsonl cannot be used"), "{}", refused.detail);
    assert_eq!(host.restarts(), 0);
    // Root moves it away.
    fs::remove_file(&path).unwrap();
    assert_eq!(host.ask(NOW + 1).await.result, OutcomeKind::Succeeded);
    assert_eq!(host.ledger.borrow().trouble(), None);
}
