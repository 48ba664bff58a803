//! The form of every kind of event: what is stored for half a year and told to programs.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;

fn id<I: std::str::FromStr<Err: std::fmt::Debug>>() -> I {
    "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap()
}

/// Gives one of every kind, with the names of its fields.
fn every_kind() -> Vec<(Event, &'static [&'static str])> {
    let what = || Asked::Action { action: Action::RestartService { unit: "nginx.service".to_owned() } };
    let setting = Rule::Disk.default_limits().into();
    let subject = || "/srv".to_owned();
    vec![
        (Event::OwnerClaimed {}, &[]),
        (Event::OwnerSet { user: UserId(1002), before: Some(UserId(1001)) }, &["before", "user"]),
        (Event::AccessGranted { user: UserId(1002) }, &["user"]),
        (Event::AccessRevoked { user: UserId(1002) }, &["user"]),
        (Event::PairingAsked { name: "web-1".to_owned() }, &["name"]),
        (
            Event::Paired { fingerprint: "AB".to_owned(), address: "203.0.113.7".to_owned(), again: false },
            &["address", "again", "fingerprint"],
        ),
        (Event::Unpaired {}, &[]),
        (Event::Removed {}, &[]),
        (Event::PairedElsewhere {}, &[]),
        (Event::MovedAway {}, &[]),
        (Event::MovedHere {}, &[]),
        (Event::ChatRevoked { servers: 2, tokens: 1 }, &["servers", "tokens"]),
        (Event::Cloned {}, &[]),
        (Event::Asked { what: what() }, &["what"]),
        (Event::Confirmed { what: Asked::Remove {} }, &["what"]),
        (Event::Declined { what: what() }, &["what"]),
        (Event::CommandQueued { command: id(), action: Action::Reboot {} }, &["action", "command"]),
        (
            Event::CommandEnded { command: id(), action: Action::Reboot {}, state: CommandState(command::State::Failed) },
            &["action", "command", "state"],
        ),
        (
            Event::AlertOpened { alert: id(), rule: Rule::Disk, subject: subject(), severity: Severity::Critical },
            &["alert", "rule", "severity", "subject"],
        ),
        (Event::AlertAcknowledged { alert: id() }, &["alert"]),
        (Event::AlertSnoozed { alert: id(), until: 1 }, &["alert", "until"]),
        (Event::AlertOver { alert: id(), rule: Rule::Disk, subject: subject() }, &["alert", "rule", "subject"]),
        (Event::Muted { until: Some(1), daily: None }, &["daily", "until"]),
        (Event::Unmuted {}, &[]),
        (Event::ThresholdSet { rule: Rule::Disk, setting }, &["rule", "setting"]),
        (Event::ThresholdReset { rule: Rule::Disk }, &["rule"]),
        (Event::TimeZoneSet { zone: "Europe/Berlin".to_owned() }, &["zone"]),
        (Event::Reachable { reachable: false }, &["reachable"]),
        (Event::UpdateSetAside { update: 7 }, &["update"]),
        (Event::KeysRotated { version: 2 }, &["version"]),
        (Event::TokenTried { address: "203.0.113.7".to_owned() }, &["address"]),
        (
            Event::Refused { what: Refused::PairingToken, count: 16, networks: vec!["203.0.113.7".to_owned()] },
            &["count", "networks", "what"],
        ),
    ]
}

#[test]
fn every_kind_has_these_fields_and_no_others() {
    for (event, fields) in every_kind() {
        let json = serde_json::to_value(&event).unwrap();
        let Value::Object(object) = &json else { panic!("{json}") };
        let mut named: BTreeSet<&str> = object.keys().map(String::as_str).collect();
        assert!(named.remove("kind"), "{json}");
        assert_eq!(named, fields.iter().copied().collect(), "{json}");
        assert_eq!(object["kind"], event.kind(), "{json}");
        assert_eq!(serde_json::from_value::<Event>(json).unwrap(), event);
    }
}

#[test]
fn every_kind_is_listed_once() {
    let kinds: Vec<&str> = every_kind().iter().map(|(event, _)| event.kind()).collect();
    assert_eq!(kinds.iter().collect::<BTreeSet<_>>().len(), kinds.len());
    // `Event::kind` names each: whoever adds one there adds it here.
    assert_eq!(kinds.len(), 32);
}
