//! Views of alerts, limits and mutes, with hostile strings and figures out of all bounds.

use osm_protocol::messages::Process;

use super::{hostile::hostile_server, *};
use crate::domain::{
    alert::{Limits, Rule, Setting},
    incident::{Firing, Incident},
    mute::{Mute, Window},
    notice::Usage,
    view::{self, History, Scope, Worst},
};

pub(super) fn views(value: &str) -> Vec<View> {
    let mut views = alerts(value);
    views.extend(limits(value));
    views
}

fn incidents(value: &str) -> Vec<Incident> {
    let process = Process { name: value.to_owned(), cpu: 1_000_000.0, memory: 1 << 60 };
    let firing = |rule: Rule| Firing {
        chat_id: 1,
        server_id: ID,
        rule,
        subject: value,
        limits: rule.default_limits(),
        value: 1_000_000.0,
        since: 0,
        processes: vec![process.clone(); 3],
    };
    let all = Rule::ALL.into_iter().flat_map(|rule| {
        let open = Incident { server_name: value.to_owned(), ..Incident::begin(ID.to_owned(), firing(rule), i64::MAX, 0) };
        let mut over = Incident { acked_by: Some(value.to_owned()), calm_at: Some(0), ..open.clone() };
        over.end(i64::MAX / 2);
        [Incident { snoozed_until: Some(i64::MAX / 2), quiet_since: Some(0), ..open.clone() }, open, over]
    });
    all.collect()
}

fn alerts(value: &str) -> Vec<View> {
    let many: Vec<Incident> = incidents(value).into_iter().cycle().take(10_000).collect();
    let view = |incident: &Incident| {
        let server = hostile_server(value, 2, 2);
        View::Incident(Box::new(view::Incident { incident: incident.clone(), server, command: None }))
    };
    let mut views: Vec<View> = incidents(value).iter().map(view).collect();
    for some in [&many[..1], &many[..], &many.iter().filter(|one| one.rule == Rule::Offline).cloned().collect::<Vec<_>>()] {
        let some = some.to_vec();
        views.push(View::Digest { incidents: some.clone(), servers: i64::MAX });
        views.push(View::Recovered { over: some.clone(), open: some.clone() });
        views.push(View::Recovered { over: some.clone(), open: Vec::new() });
        views.push(View::Reminder { open: some.clone() });
        views.push(View::Alerts { open: some.into_iter().take(8).collect(), count: usize::MAX, page: 1, pages: u32::MAX });
    }
    views.push(View::Alerts { open: Vec::new(), count: 0, page: 0, pages: 1 });
    views
}

fn limits(value: &str) -> Vec<View> {
    let server = || hostile_server(value, 2, 2);
    let scope = |server| Scope { server, servers: vec![hostile_server(value, 1, 1); 200] };
    let mute = |server_id: Option<&str>, window| Mute {
        id: ID.to_owned(),
        server_id: server_id.map(str::to_owned),
        window,
        created_by: value.to_owned(),
    };
    let mutes = [mute(None, Window::Until(i64::MAX)), mute(Some(ID), Window::Daily { from: 0, to: 1439 })];
    let mut views = vec![
        View::TestAlert,
        View::TimeZone,
        View::NotUnderstood { usage: Usage::Mute },
        View::NotUnderstood { usage: Usage::TimeZone },
        View::Mutes { mutes: Vec::new(), servers: Vec::new() },
        View::Mutes { mutes: mutes.into_iter().cycle().take(50).collect(), servers: vec![server(); 200] },
    ];
    for scope in [scope(None), scope(Some(server()))] {
        let all = |enabled| Rule::ALL.map(|rule| (rule, Limits { enabled, ..rule.default_limits() })).to_vec();
        views.extend([true, false].map(|enabled| View::Thresholds { scope: scope.clone(), limits: all(enabled) }));
        for rule in Rule::ALL {
            let present = rule.default_limits();
            let worst = Worst { server: value.to_owned(), subject: value.to_owned(), value: 1_000_000.0 };
            let histories = [History::Unknown, History::TooMany { most: i64::MAX }, History::Fired(vec![u32::MAX; 2])];
            views.extend(histories.map(|history| {
                let (scope, worst) = (scope.clone(), Some(worst.clone()));
                let tried = Some(Setting { enabled: false, ..Setting::from(present) });
                View::Threshold(Box::new(view::Threshold { scope, rule, present, tried, is_set: true, worst, history }))
            }));
        }
    }
    views
}
