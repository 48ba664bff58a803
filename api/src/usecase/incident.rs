//! Alerts begin, come again, and end.

use std::collections::BTreeSet;

use crate::{
    domain::{
        MINUTE, Millis,
        alert::{Rule, Severity},
        incident::{FLAPPING, Firing, Incident},
        notice::Urgency,
    },
    store::{self, Tx, incidents, servers},
    usecase::{
        Core,
        announce::{self, Announcer},
        mute::Mutes,
    },
};

/// Reminders that are due within this time go out in one message.
const REMIND_TOGETHER: Millis = 5 * MINUTE;

/// A new incident, or an old one again: what fires a second time within an hour comes and goes.
pub async fn fire(tx: &mut Tx, told: &mut Announcer<'_>, firing: Firing<'_>) -> store::Result<()> {
    let now = told.now;
    let newest = incidents::newest(tx, firing.server_id, firing.rule, firing.subject, now - FLAPPING).await?;
    // What the server's chat before this one heard is none of this one's business.
    match newest.filter(|newest| newest.chat_id == firing.chat_id) {
        Some(mut again) if again.takes_in_more() => {
            again.fires_again(firing, now);
            if again.message_id.is_none() {
                told.begins(tx, &mut again).await?;
            }
            incidents::update(tx, &again).await?;
            told.changes(&again);
            Ok(())
        }
        before => {
            let times = before.map_or(1, |before| before.times + 1);
            let mut incident = Incident::begin(told.id(), firing, times, now);
            told.begins(tx, &mut incident).await?;
            incidents::insert(tx, &incident).await
        }
    }
}

/// What fired is well again.
pub async fn clear(tx: &mut Tx, told: &mut Announcer<'_>, server_id: &str, rule: Rule, subject: &str) -> store::Result<()> {
    let newest = incidents::newest(tx, server_id, rule, subject, told.now).await?;
    let Some(mut incident) = newest.filter(Incident::is_open) else { return Ok(()) };
    if incident.is_flapping() {
        incident.becomes_quiet(told.now);
        incidents::update(tx, &incident).await?;
        told.changes(&incident);
        return Ok(());
    }
    end(tx, told, incident).await
}

async fn end(tx: &mut Tx, told: &mut Announcer<'_>, mut incident: Incident) -> store::Result<()> {
    incident.end(told.now);
    incidents::update(tx, &incident).await?;
    told.ends(&incident);
    Ok(())
}

/// Ends everything that is open of a server without a sound: its host was paired anew.
pub async fn end_all(tx: &mut Tx, told: &mut Announcer<'_>, server_id: &str) -> store::Result<()> {
    for mut incident in incidents::open_of_server(tx, server_id).await? {
        incident.end(told.now);
        incidents::update(tx, &incident).await?;
        incidents::set_recovery(tx, &[incident.id.clone()], "").await?;
        told.changes(&incident);
    }
    Ok(())
}

/// A command for a server took another turn: alerts that it may mend show it.
pub async fn show_command(tx: &mut Tx, core: &Core, server_id: &str, now: Millis) -> store::Result<()> {
    let mut told = Announcer::new(core, now);
    for incident in incidents::open_of_server(tx, server_id).await? {
        if matches!(incident.rule, Rule::Service | Rule::Disk) {
            told.changes(&incident);
        }
    }
    told.finish(tx).await
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
    if incident.quiet_since.is_some() || mutes.cover(&incident.server_id) {
        return None;
    }
    match incident.remind_at {
        _ if incident.message_id.is_none() => Some(Due::Telling),
        Some(at) if at <= now => Some(Due::Reminding),
        Some(at) if at <= now + REMIND_TOGETHER && !incident.is_snoozed(now) => Some(Due::RemindingSoon),
        _ => None,
    }
}

/// A chat's open incidents, whose servers nobody judges until the transaction ends.
pub async fn held(tx: &mut Tx, chat_id: i64) -> store::Result<Vec<Incident>> {
    let open = incidents::open_in_chat(tx, chat_id).await?;
    let servers: BTreeSet<String> = open.into_iter().map(|incident| incident.server_id).collect();
    servers::hold(tx, &servers.into_iter().collect::<Vec<_>>()).await?;
    incidents::open_in_chat(tx, chat_id).await
}

/// What a chat's open incidents come to.
async fn due_of(tx: &mut Tx, chat_id: i64, open: Vec<Incident>, now: Millis) -> store::Result<Vec<(Incident, Due)>> {
    let mutes = Mutes::of_chat(tx, chat_id, now).await?;
    Ok(open.into_iter().filter_map(|incident| due(&incident, &mutes, now).map(|due| (incident, due))).collect())
}

/// Whether time has brought anything about.
pub async fn any_due(tx: &mut Tx, now: Millis) -> store::Result<bool> {
    for chat_id in incidents::chats_due(tx, now).await? {
        let open = incidents::open_in_chat(tx, chat_id).await?;
        if due_of(tx, chat_id, open, now).await?.iter().any(|(_, due)| *due != Due::RemindingSoon) {
            return Ok(true);
        }
    }
    Ok(!announce::overdue_ends(tx, now).await?.is_empty())
}

/// Brings it about.
pub async fn sweep(tx: &mut Tx, core: &Core, now: Millis) -> store::Result<()> {
    let mut told = Announcer::new(core, now);
    for chat_id in incidents::chats_due(tx, now).await? {
        let open = held(tx, chat_id).await?;
        let all = due_of(tx, chat_id, open, now).await?;
        let reminds = all.iter().any(|(_, due)| *due == Due::Reminding);
        for (mut incident, due) in all {
            match due {
                Due::Over => end(tx, &mut told, incident).await?,
                Due::Telling => {
                    told.begins(tx, &mut incident).await?;
                    incidents::update(tx, &incident).await?;
                }
                Due::Reminding | Due::RemindingSoon if reminds => {
                    incident.remind(now);
                    incidents::update(tx, &incident).await?;
                    let is_critical = incident.limits.severity == Severity::Critical;
                    told.reminds(tx, chat_id, if is_critical { Urgency::Critical } else { Urgency::Warning }).await?;
                }
                Due::Reminding | Due::RemindingSoon => {}
            }
        }
    }
    for (chat_id, message_id) in announce::overdue_ends(tx, now).await? {
        told.ends_of(chat_id, message_id);
    }
    told.finish(tx).await
}
