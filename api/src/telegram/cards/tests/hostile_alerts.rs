//! Cards of alerts, limits and mutes, with hostile strings and figures out of all bounds.

use osm_protocol::messages::Process;

use super::{hostile::hostile_server, *};
use crate::{
    domain::{
        alert::{Limits, Rule, Setting},
        incident::{Firing, Incident},
        mute::{Mute, Window},
        notice::Usage,
    },
    query::{
        alerts::Alert,
        thresholds::{History, Scope, Threshold, Worst},
    },
};

pub(super) fn cards(words: &Words<'_>, value: &str) -> Vec<Card> {
    let mut cards = alerts(words, value);
    cards.extend(limits(words, value));
    cards
}

fn incidents(value: &str) -> Vec<Incident> {
    let process = Process { name: value.to_owned(), cpu: 1_000_000.0, memory: 1 << 60 };
    let firing = |rule: Rule| Firing {
        chat_id: ChatId(1),
        server_id: id(),
        server_name: value,
        rule,
        subject: value,
        limits: rule.default_limits(),
        value: 1_000_000.0,
        since: 0,
        processes: vec![process.clone(); 3],
    };
    let all = Rule::ALL.into_iter().flat_map(|rule| {
        let open = Incident::begin(id(), firing(rule), i64::MAX, 0);
        let mut over = Incident { acked_by: Some(value.to_owned()), calm_at: Some(0), ..open.clone() };
        over.end(i64::MAX / 2);
        [Incident { snoozed_until: Some(i64::MAX / 2), quiet_since: Some(0), ..open.clone() }, open, over]
    });
    all.collect()
}

fn alerts(words: &Words<'_>, value: &str) -> Vec<Card> {
    let many: Vec<Incident> = incidents(value).into_iter().cycle().take(10_000).collect();
    let one = |incident: &Incident| {
        let alert = Alert { incident: incident.clone(), server: hostile_server(value, 2, 2), command: None };
        alert::alert(words, &alert)
    };
    let mut cards: Vec<Card> = incidents(value).iter().map(one).collect();
    for some in [&many[..1], &many[..], &many.iter().filter(|one| one.rule == Rule::Offline).cloned().collect::<Vec<_>>()] {
        cards.push(alert::digest(words, some, i64::MAX));
        cards.push(alert::recovered(words, some, some));
        cards.push(alert::recovered(words, some, &[]));
        cards.push(alert::reminder(words, some));
        let shown = some.iter().take(8).cloned().collect();
        cards.push(alert::alerts(words, &Page { items: shown, count: usize::MAX, number: 1, pages: u32::MAX }));
    }
    cards.push(alert::alerts(words, &page(Vec::new(), 0, 1)));
    cards
}

fn limits(words: &Words<'_>, value: &str) -> Vec<Card> {
    let server = || hostile_server(value, 2, 2);
    let scope = |server| Scope { server, servers: vec![hostile_server(value, 1, 1); 200] };
    let mute = |server_id: Option<ServerId>, window| Mute { id: id(), server_id, window, created_by: value.to_owned() };
    let mutes = [mute(None, Window::Until(i64::MAX)), mute(Some(id()), Window::Daily { from: 0, to: 1439 })];
    let mutes: Vec<Mute> = mutes.into_iter().cycle().take(50).collect();
    let mut cards = vec![
        mute::time_zone(words),
        mute::not_understood(words, Usage::Mute),
        mute::not_understood(words, Usage::TimeZone),
        mute::mutes(words, &[], &[]),
        mute::mutes(words, &mutes, &vec![server(); 200]),
    ];
    for scope in [scope(None), scope(Some(server()))] {
        let all = |enabled| Rule::ALL.map(|rule| (rule, Limits { enabled, ..rule.default_limits() })).to_vec();
        cards.extend([true, false].map(|enabled| threshold::thresholds(words, &scope, &all(enabled))));
        for rule in Rule::ALL {
            let present = rule.default_limits();
            let worst = Worst { server: value.to_owned(), subject: value.to_owned(), value: 1_000_000.0 };
            let histories = [History::Unknown, History::TooMany { most: i64::MAX }, History::Fired(vec![u32::MAX; 2])];
            cards.extend(histories.map(|history| {
                let (scope, worst) = (scope.clone(), Some(worst.clone()));
                let tried = Some(Setting { enabled: false, ..Setting::from(present) });
                threshold::threshold(words, &Threshold { scope, rule, present, tried, is_set: true, worst, history })
            }));
        }
    }
    cards
}
