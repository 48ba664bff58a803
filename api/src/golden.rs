//! What the backend stores keeps the form that `api/golden` shows: JSON in columns, words, what buttons in chats carry, key
//! files.

#[macro_use]
#[path = "../../protocol/tests/golden/forms.rs"]
mod forms;

use std::{
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::Path,
};

use forms::Golden;
use osm_protocol::{
    action::{Chore, Rejection},
    envelope::PAIRING,
    key::PublicKey,
    messages::{Process, Report},
};

use crate::{
    domain::{
        alert::{Rule, Setting, Severity},
        command,
        confirmation::{self, Asks},
        event::{By, Event},
        intent::{ChatKind, Family, Intent, Request},
        notice::{Limit, Notice, Purpose, Toast, Usage},
        update,
    },
    keys::Keys,
    store::outbox::Content,
    telegram::keyboards,
};

#[test]
fn what_is_stored_keeps_its_form() {
    let mut golden = Golden::of(env!("CARGO_MANIFEST_DIR"));
    outbox(&mut golden);
    let requests = inbox(&mut golden);
    buttons(&mut golden, &requests);
    rows(&mut golden);
    events(&mut golden);
    words(&mut golden);
    key_files(&mut golden);
    golden.finish();
}

/// `outbox.content`.
fn outbox(golden: &mut Golden) {
    let notices: Vec<Notice> = golden.forms("notice.jsonl");
    golden.every(
        "notice.jsonl",
        &notices,
        variants!(Notice: Welcome PrivateBot AccessGranted AccessRevoked OwnerSet LeftBehind Help Pairing
            PairingSentPrivately PairingNeedsPrivateChat Paired TokenTried Refused PackagesRunOut Cloned Unpaired PairedElsewhere
            RemovedByOperator MovedAway MovedHere
            ChatRevoked Servers Status Services Choose NoSuchServer Confirmation Command Removed NotAllowed LimitReached
            UnknownCommand SetAside Alert Recovered Reminder Incident Alerts TestAlert Thresholds Threshold
            Mutes NotUnderstood TimeZone),
    );
    let toasts: Vec<Toast> = golden.forms("toast.jsonl");
    golden.every(
        "toast.jsonl",
        &toasts,
        variants!(Toast: Done Refreshed Stale NotAllowed NotYours ConfirmationExpired AlreadyAnswered Declined NotRestartable
            NotOffered RebootOver CancelAsked LimitReached Acknowledged Snoozed AlertOver Saved OutOfRange Muted
            Unmuted TooManyMutes Suspended),
    );
    let contents: Vec<Content> = golden.forms("outbox-content.jsonl");
    golden.every("outbox-content.jsonl", &contents, variants!(Content: Notice Toast));
}

/// `updates.request`.
fn inbox(golden: &mut Golden) -> Vec<Request> {
    let requests: Vec<Request> = golden.forms("request.jsonl");
    golden.every(
        "request.jsonl",
        requests.iter().map(|request| &request.intent),
        variants!(Intent: Start Help AddServer PairingSteps Servers Status ShowServer Refresh Services AskRestart AskChore
            CancelReboot RemoveServer AskRemove Alerts ShowIncident Acknowledge AcknowledgeAll Snooze TestAlert
            Thresholds ShowThresholds TryThreshold SetThreshold Mute MuteFor Unmute TimeZone Confirm Decline
            StaleButton UnknownCommand Reachable Migrated),
    );
    golden.every("request.jsonl", requests.iter().map(|request| &request.chat.kind), variants!(ChatKind: Private Group));
    requests
}

/// Gives what the buttons under messages that were sent carry; people tap on them months later.
fn buttons(golden: &mut Golden, requests: &[Request]) {
    let text = golden.text("button.txt");
    for (number, line) in (1..).zip(text.lines()) {
        let intent = keyboards::parse(line);
        assert_ne!(intent, Intent::StaleButton, "golden/button.txt, line {number}: cannot be read any more: {line}");
        golden.same(&format!("button.txt, line {number}"), line, &keyboards::data(&intent));
    }
    for intent in requests.iter().map(|request| &request.intent) {
        let data = keyboards::data(intent);
        let is_held = text.lines().any(|line| line == data);
        assert!(
            is_held || keyboards::parse(&data) == Intent::StaleButton,
            "golden/button.txt: no line for {intent:?}: add {data}"
        );
    }
}

/// Other columns that hold JSON.
fn rows(golden: &mut Golden) {
    let asks: Vec<Asks> = golden.forms("confirmation-asks.jsonl");
    golden.every("confirmation-asks.jsonl", &asks, variants!(Asks: Restart Chore Remove));
    golden.forms::<Report>("server-report.jsonl");
    golden.forms::<Vec<Process>>("incident-processes.jsonl");
    golden.forms::<Setting>("setting.jsonl");
}

/// `events.data` and `events.actor`.
fn events(golden: &mut Golden) {
    let events: Vec<Event> = golden.forms("event.jsonl");
    golden.every(
        "event.jsonl",
        &events,
        variants!(Event: OwnerClaimed OwnerSet AccessGranted AccessRevoked PairingAsked Paired Unpaired Removed PairedElsewhere
            MovedAway MovedHere ChatRevoked Cloned Asked Confirmed Declined
            CommandQueued CommandEnded AlertOpened AlertAcknowledged AlertSnoozed AlertOver Muted Unmuted ThresholdSet ThresholdReset
            TimeZoneSet Reachable UpdateSetAside KeysRotated TokenTried Refused),
    );
    let actors: Vec<By> = golden.forms("event-actor.jsonl");
    golden.every("event-actor.jsonl", &actors, variants!(By: Person Agent Operator System));
}

/// Closed sets by their words, within JSON or in columns of their own.
fn words(golden: &mut Golden) {
    macro_rules! words {
        ($file:literal, $type:ident: $($variant:ident)*) => {
            let words: Vec<$type> = golden.forms($file);
            golden.every($file, &words, variants!($type: $($variant)*));
        };
    }
    words!("chat-kind.jsonl", ChatKind: Private Group);
    words!("chore.jsonl", Chore: CleanJournal RunLogrotate Reboot);
    words!("command-reason.jsonl", Rejection: Clock Expired Policy Rate UnitNotListed Unsupported Unknown);
    words!("family.jsonl", Family: Short Apt Dnf);
    words!("limit.jsonl", Limit: Servers PairingTokens Commands Mutes);
    words!("purpose.jsonl", Purpose: Status Remove Thresholds);
    words!(
        "rule.jsonl",
        Rule: Cpu Memory Swap Disk Inodes ReadOnly NoAnswer Load Service Restarts NotReady Down Unit Offline Reboot Clock Commands
    );
    words!("severity.jsonl", Severity: Warning Critical);
    words!("usage.jsonl", Usage: Mute TimeZone);
    let rules: Vec<Rule> = golden.forms("rule.jsonl");
    assert!(rules.iter().all(|rule| Rule::ALL.contains(rule)), "Rule::ALL is all rules");
    state_words(golden, "command-state.txt", &command::State::ALL.map(command::State::as_str));
    state_words(golden, "confirmation-state.txt", &confirmation::State::ALL.map(confirmation::State::as_str));
    state_words(golden, "update-state.txt", &update::State::ALL.map(update::State::as_str));
}

fn state_words(golden: &mut Golden, file: &str, words: &[&str]) {
    let was = golden.text(file);
    golden.same(file, &was.lines().collect::<Vec<_>>().join(" "), &words.join(" "));
}

/// Gives the state directory: it is read as it is, and what is derived from its secrets stays the same.
fn key_files(golden: &mut Golden) {
    let held = golden.path("state");
    let copy = tempfile::tempdir().expect("a folder");
    let keys = copy.path().join("keys");
    DirBuilder::new().mode(0o700).create(&keys).expect("a folder for keys");
    let files = ["keyset.json", "keys/root.pem", "keys/command.pem", "keys/pairing.key", "keys/webhook.secret"];
    for file in files {
        fs::copy(held.join(file), copy.path().join(file)).unwrap_or_else(|error| panic!("golden/state/{file}: {error}"));
    }
    let loaded = Keys::load(copy.path(), None, 0).expect("keys that were written before");
    for file in files {
        let read = |root: &Path| fs::read(root.join(file)).expect("a file that was there");
        assert_eq!(read(&held), read(copy.path()), "golden/state/{file} is read, not written");
    }
    let key_set = fs::read_to_string(held.join("keyset.json")).expect("a key set");
    golden.same("state/keyset.json", &key_set, &serde_json::to_string(&loaded.key_set).expect("a JSON form"));
    let pairing = "01a317f0-4c00-7d3e-9c5b-2f6a8e1b7c01".parse().expect("an id");
    let is = serde_json::json!({
        "root": loaded.trusted.root.to_string(),
        "command_keys": loaded.trusted.command_keys.iter().map(PublicKey::to_string).collect::<Vec<_>>(),
        "webhook_secret": loaded.webhook_secret.expose(),
        "pairing_token": loaded.pairing_token(pairing).text(),
        "signed": loaded.sign(PAIRING, &"pairing"),
    });
    let was: serde_json::Value = serde_json::from_str(&golden.text("key-files.json")).unwrap_or_default();
    golden.same("key-files.json", &was.to_string(), &is.to_string());
}
