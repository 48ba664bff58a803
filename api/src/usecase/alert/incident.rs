//! Alerts begin, come again, and end.

use std::collections::BTreeSet;

use crate::{
    domain::{
        MINUTE, Millis,
        alert::{Rule, Severity},
        event::{Event, Happened},
        ids::{ChatId, ServerId},
        incident::{EndTold, FLAPPING, Firing, Incident},
        notice::Urgency,
    },
    query::mutes::Mutes,
    store::{self, Tx, incidents, servers},
    usecase::{announce, work::Work},
};

/// Reminders that are due within this time go out in one message.
const REMIND_TOGETHER: Millis = 5 * MINUTE;

/// Begins an incident, or an old one again: what fires a second time within an hour comes and goes.
pub async fn fire(work: &mut Work<'_>, firing: Firing<'_>) -> store::Result<()> {
    let now = work.now;
    let newest = incidents::newest(&mut work.tx, firing.server_id, firing.rule, firing.subject, now - FLAPPING).await?;
    // What the server's chat before this one heard is none of this one's business.
    match newest.filter(|newest| newest.chat_id == firing.chat_id) {
        Some(mut again) if again.takes_in_more() => {
            again.fires_again(firing, now);
            if again.message_id.is_none() {
                work.begins(&mut again).await?;
            }
            incidents::update(&mut work.tx, &again).await?;
            work.changes(&again);
            Ok(())
        }
        before => {
            let times = before.map_or(1, |before| before.times + 1);
            let mut incident = Incident::begin(work.id(), firing, times, now);
            work.begins(&mut incident).await?;
            record(work, &incident, |incident| Event::AlertOpened {
                alert: incident.id,
                rule: incident.rule,
                subject: incident.subject.clone(),
                severity: incident.limits.severity,
            });
            incidents::insert(&mut work.tx, &incident).await
        }
    }
}

/// Ends what fired and is well again; what comes and goes has to stay well for a while first.
pub async fn clear(work: &mut Work<'_>, server_id: ServerId, rule: Rule, subject: &str) -> store::Result<()> {
    let newest = incidents::newest(&mut work.tx, server_id, rule, subject, work.now).await?;
    let Some(mut incident) = newest.filter(Incident::is_open) else { return Ok(()) };
    if incident.is_flapping() {
        incident.becomes_quiet(work.now);
        incidents::update(&mut work.tx, &incident).await?;
        work.changes(&incident);
        return Ok(());
    }
    end(work, incident).await
}

/// Notes what happened to an alert.
pub fn record(work: &mut Work<'_>, incident: &Incident, event: impl FnOnce(&Incident) -> Event) {
    let Incident { chat_id, server_id, server_name, .. } = incident;
    work.record(Happened::to_server(*chat_id, *server_id, server_name, event(incident)));
}

fn over(incident: &Incident) -> Event {
    Event::AlertOver { alert: incident.id, rule: incident.rule, subject: incident.subject.clone() }
}

async fn end(work: &mut Work<'_>, mut incident: Incident) -> store::Result<()> {
    incident.end(work.now);
    record(work, &incident, over);
    incidents::update(&mut work.tx, &incident).await?;
    work.ends(&incident);
    Ok(())
}

/// Ends everything that is open of a server without a sound: its host was paired anew.
pub async fn end_all(work: &mut Work<'_>, server_id: ServerId) -> store::Result<()> {
    for mut incident in incidents::open_of_server(&mut work.tx, server_id).await? {
        incident.end(work.now);
        record(work, &incident, over);
        incidents::update(&mut work.tx, &incident).await?;
        incidents::set_end(&mut work.tx, &[incident.id], EndTold::Never).await?;
        work.changes(&incident);
    }
    Ok(())
}

/// Lets alerts that a command may mend show that it took another turn.
pub async fn show_command(work: &mut Work<'_>, server_id: ServerId) -> store::Result<()> {
    for incident in incidents::open_of_server(&mut work.tx, server_id).await? {
        if incident.rule.is_of_service() || incident.rule == Rule::Disk {
            work.changes(&incident);
        }
    }
    Ok(())
}

/// What time alone makes of an incident.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    /// It came and went, and was well for long enough.
    Over,
    /// It began while its chat was mute, and the mute is over.
    Telling,
    /// Nobody has seen to it for long enough.
    Reminding,
    /// Soon so; it goes along with others.
    RemindingSoon,
}

fn due(incident: &Incident, mutes: &Mutes, now: Millis) -> Option<Due> {
    if incident.calm_at.is_some_and(|at| at <= now) {
        return Some(Due::Over);
    }
    if incident.quiet_since.is_some() || mutes.cover(incident.server_id) {
        return None;
    }
    match incident.remind_at {
        _ if incident.message_id.is_none() => Some(Due::Telling),
        Some(at) if at <= now => Some(Due::Reminding),
        Some(at) if at <= now + REMIND_TOGETHER && !incident.is_snoozed(now) => Some(Due::RemindingSoon),
        Some(_) | None => None,
    }
}

/// Lists a chat's open incidents, whose servers nobody judges until the transaction ends.
pub async fn held(tx: &mut Tx, chat_id: ChatId) -> store::Result<Vec<Incident>> {
    let open = incidents::open_in_chat(tx, chat_id).await?;
    let servers: BTreeSet<ServerId> = open.into_iter().map(|incident| incident.server_id).collect();
    servers::hold(tx, &servers.into_iter().collect::<Vec<_>>()).await?;
    incidents::open_in_chat(tx, chat_id).await
}

/// Gives what a chat's open incidents come to.
async fn due_of(tx: &mut Tx, chat_id: ChatId, open: Vec<Incident>, now: Millis) -> store::Result<Vec<(Incident, Due)>> {
    let mutes = Mutes::of_chat(tx, chat_id, now).await?;
    Ok(open.into_iter().filter_map(|incident| due(&incident, &mutes, now).map(|due| (incident, due))).collect())
}

/// Tells whether time has brought anything about.
pub async fn any_due(tx: &mut Tx, now: Millis) -> store::Result<bool> {
    for chat_id in incidents::chats_due(tx, now).await? {
        let open = incidents::open_in_chat(tx, chat_id).await?;
        if due_of(tx, chat_id, open, now).await?.iter().any(|(_, due)| *due != Due::RemindingSoon) {
            return Ok(true);
        }
    }
    Ok(!announce::overdue_ends(tx, now).await?.is_empty())
}

/// Does what time has brought about.
pub async fn sweep(work: &mut Work<'_>) -> store::Result<()> {
    for chat_id in incidents::chats_due(&mut work.tx, work.now).await? {
        let open = held(&mut work.tx, chat_id).await?;
        let all = due_of(&mut work.tx, chat_id, open, work.now).await?;
        let unheard = incidents::unheard(&mut work.tx, chat_id).await?;
        let reminds = all.iter().any(|(incident, due)| *due == Due::Reminding && !unheard.contains(&incident.id));
        for (mut incident, due) in all {
            match due {
                Due::Reminding | Due::RemindingSoon if unheard.contains(&incident.id) => {
                    // Of what nobody has heard nobody is reminded.
                    incident.remind_later(work.now);
                    incidents::update(&mut work.tx, &incident).await?;
                }
                Due::Over => end(work, incident).await?,
                Due::Telling => tell(work, incident).await?,
                Due::Reminding | Due::RemindingSoon if reminds => remind(work, incident).await?,
                Due::Reminding | Due::RemindingSoon => {}
            }
        }
    }
    for (chat_id, message_id) in announce::overdue_ends(&mut work.tx, work.now).await? {
        work.ends_of(chat_id, message_id);
    }
    Ok(())
}

async fn tell(work: &mut Work<'_>, mut incident: Incident) -> store::Result<()> {
    work.begins(&mut incident).await?;
    incidents::update(&mut work.tx, &incident).await
}

async fn remind(work: &mut Work<'_>, mut incident: Incident) -> store::Result<()> {
    incident.remind(work.now);
    incidents::update(&mut work.tx, &incident).await?;
    let urgency = match incident.limits.severity {
        Severity::Critical => Urgency::Critical,
        Severity::Warning => Urgency::Warning,
    };
    let topic = servers::topic(&mut work.tx, incident.server_id).await?;
    work.reminds((incident.chat_id, topic), urgency).await
}
