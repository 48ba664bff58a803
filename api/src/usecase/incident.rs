//! Alerts begin, are seen to, and end: one message for each, and one more when it is over.

use osm_protocol::messages::Process;

use crate::{
    domain::{
        MINUTE, Millis,
        alert::{Limits, Rule, Severity},
        incident::{FLAPPING, Incident},
        intent::{Actor, Tap},
        mute::Mute,
        notice::{Notice, Toast, Urgency},
    },
    store::{
        self, Tx, chats, incidents, messages, mutes,
        outbox::{self, Gathers},
    },
    usecase::{Core, tell::Teller},
    zone::Zone,
};

/// Reminders that are due within this time go out in one message.
const REMIND_TOGETHER: Millis = 5 * MINUTE;

/// What fired, and where.
pub struct Firing<'a> {
    pub chat_id: i64,
    pub server_id: &'a str,
    pub rule: Rule,
    pub subject: &'a str,
    pub limits: Limits,
    pub value: f64,
    pub since: Millis,
    pub processes: Vec<Process>,
}

/// A new incident, or an old one again: what fires a second time within an hour flaps.
pub async fn fire(tx: &mut Tx, core: &Core, firing: Firing<'_>, now: Millis) -> store::Result<()> {
    let newest = incidents::newest(tx, firing.server_id, firing.rule, firing.subject, now - FLAPPING).await?;
    match newest {
        Some(mut flapping) if flapping.is_open() => {
            flapping.fires_again(&firing);
            incidents::update(tx, &flapping).await?;
            show(tx, core, &flapping, now).await
        }
        Some(mut again) if firing.rule != Rule::Reboot => {
            again.since = firing.since;
            again.fires_again(&firing);
            (again.resolved_at, again.acked_by, again.message_id, again.recovery_id) = (None, None, None, None);
            announce(tx, core, again, now).await
        }
        _ => {
            let incident = begin(core, firing, now);
            incidents::insert(tx, &incident).await?;
            announce(tx, core, incident, now).await
        }
    }
}

impl Incident {
    fn fires_again(&mut self, firing: &Firing<'_>) {
        self.times += 1;
        self.quiet_since = None;
        self.value = firing.value;
        self.processes.clone_from(&firing.processes);
        self.severity = firing.limits.severity;
        (self.limit, self.hold) = (firing.limits.limit, firing.limits.hold);
    }
}

fn begin(core: &Core, firing: Firing<'_>, now: Millis) -> Incident {
    Incident {
        id: core.clock.id(),
        chat_id: firing.chat_id,
        server_id: firing.server_id.to_owned(),
        server_name: String::new(),
        rule: firing.rule,
        subject: firing.subject.to_owned(),
        severity: firing.limits.severity,
        limit: firing.limits.limit,
        hold: firing.limits.hold,
        value: firing.value,
        processes: firing.processes,
        since: firing.since,
        opened_at: now,
        times: 1,
        quiet_since: None,
        // A reboot is over when it is seen.
        resolved_at: (firing.rule == Rule::Reboot).then_some(now),
        acked_by: None,
        snoozed_until: None,
        remind_at: None,
        reminders: 0,
        message_id: None,
        recovery_id: None,
    }
}

/// What fired is well again.
pub async fn clear(tx: &mut Tx, core: &Core, server_id: &str, rule: Rule, subject: &str, now: Millis) -> store::Result<()> {
    let Some(mut incident) = incidents::newest(tx, server_id, rule, subject, now).await? else { return Ok(()) };
    if incident.is_flapping() {
        incident.quiet_since = Some(now);
        incidents::update(tx, &incident).await?;
        return show(tx, core, &incident, now).await;
    }
    resolve(tx, core, incident, now).await
}

/// Ends everything that is open of a server without a sound: its host was paired anew.
pub async fn end_all(tx: &mut Tx, core: &Core, server_id: &str, now: Millis) -> store::Result<()> {
    for mut incident in incidents::open_of_server(tx, server_id).await? {
        incident.resolved_at = Some(now);
        incident.remind_at = None;
        incidents::update(tx, &incident).await?;
        show(tx, core, &incident, now).await?;
    }
    Ok(())
}

async fn resolve(tx: &mut Tx, core: &Core, mut incident: Incident, now: Millis) -> store::Result<()> {
    incident.resolved_at = Some(incident.quiet_since.unwrap_or(now));
    incident.remind_at = None;
    incidents::update(tx, &incident).await?;
    show(tx, core, &incident, now).await?;
    // What was never told begins no second message; what one message told together ends together.
    let Some(message_id) = &incident.message_id else { return Ok(()) };
    if incidents::any_open_of_message(tx, message_id).await? || is_muted(tx, &incident, now).await? {
        return Ok(());
    }
    let chat_id = incident.chat_id;
    let teller = Teller { clock: &core.clock, chat_id, now };
    let (recovery_id, is_new) = waiting(tx, core, chat_id, Gathers::Recoveries).await?;
    incidents::set_recovery(tx, message_id, &recovery_id).await?;
    let notice = Notice::Recovered { recovery_id: recovery_id.clone() };
    tell(tx, &teller, &recovery_id, is_new, &notice, Urgency::Warning, Gathers::Recoveries).await
}

/// Tells the chat, in the message that waits to be sent or in a new one; nothing while the chat is mute.
async fn announce(tx: &mut Tx, core: &Core, mut incident: Incident, now: Millis) -> store::Result<()> {
    let chat_id = incident.chat_id;
    if is_muted(tx, &incident, now).await? {
        return incidents::update(tx, &incident).await;
    }
    let (message_id, is_new) = waiting(tx, core, chat_id, Gathers::Alerts).await?;
    incident.message_id = Some(message_id.clone());
    incident.remind_at = incident.first_reminder(now);
    incidents::update(tx, &incident).await?;
    let teller = Teller { clock: &core.clock, chat_id, now };
    let urgency = match incident.severity {
        Severity::Critical => Urgency::Critical,
        Severity::Warning => Urgency::Warning,
    };
    let notice = Notice::Alert { message_id: message_id.clone() };
    tell(tx, &teller, &message_id, is_new, &notice, urgency, Gathers::Alerts).await
}

/// The chat's message that still takes in more, or the id of a new one.
async fn waiting(tx: &mut Tx, core: &Core, chat_id: i64, gathers: Gathers) -> store::Result<(String, bool)> {
    let waiting = outbox::gathering(tx, chat_id, gathers).await?;
    let is_new = waiting.is_none();
    Ok((waiting.unwrap_or_else(|| core.clock.id()), is_new))
}

async fn tell(
    tx: &mut Tx,
    teller: &Teller<'_>,
    message_id: &str,
    is_new: bool,
    notice: &Notice,
    urgency: Urgency,
    gathers: Gathers,
) -> store::Result<()> {
    if is_new {
        teller.send_as(tx, message_id, notice, urgency).await?;
        return outbox::set_gathering(tx, message_id, gathers).await;
    }
    teller.edit(tx, message_id, notice, urgency).await
}

/// Its message shows how it stands now.
async fn show(tx: &mut Tx, core: &Core, incident: &Incident, now: Millis) -> store::Result<()> {
    let Some(message_id) = &incident.message_id else { return Ok(()) };
    let teller = Teller { clock: &core.clock, chat_id: incident.chat_id, now };
    teller.edit(tx, message_id, &Notice::Alert { message_id: message_id.clone() }, Urgency::Background).await
}

/// A command for a server took another turn: alerts that it may mend show it.
pub async fn show_command(tx: &mut Tx, core: &Core, server_id: &str, now: Millis) -> store::Result<()> {
    for incident in incidents::open_of_server(tx, server_id).await? {
        if matches!(incident.rule, Rule::Service | Rule::Disk) {
            show(tx, core, &incident, now).await?;
        }
    }
    Ok(())
}

async fn is_muted(tx: &mut Tx, incident: &Incident, now: Millis) -> store::Result<bool> {
    Ok(Mutes::of_chat(tx, incident.chat_id, now).await?.cover(&incident.server_id))
}

/// A chat's mutes at one moment.
struct Mutes {
    all: Vec<Mute>,
    now: Millis,
    minute: i64,
}

impl Mutes {
    async fn of_chat(tx: &mut Tx, chat_id: i64, now: Millis) -> store::Result<Self> {
        let mutes = mutes::of_chat(tx, chat_id, now).await?;
        // Most chats have none, and nobody need ask what time it is there.
        let minute = if mutes.is_empty() {
            0
        } else {
            let zone = chats::get(tx, chat_id).await?.and_then(|chat| chat.zone);
            Zone::of(zone.as_deref()).minute_of_day(now)
        };
        Ok(Self { all: mutes, now, minute })
    }

    fn cover(&self, server_id: &str) -> bool {
        self.all.iter().any(|mute| mute.covers(server_id, self.now, self.minute))
    }
}

/// What is due by time alone.
pub async fn any_due(tx: &mut Tx, now: Millis) -> store::Result<bool> {
    Ok(!incidents::chats_due(tx, now, now - FLAPPING).await?.is_empty())
}

/// What flapped and was well for long enough is over; what was mute until now is told; what nobody has seen is repeated.
pub async fn sweep(tx: &mut Tx, core: &Core, now: Millis) -> store::Result<()> {
    for chat_id in incidents::chats_due(tx, now, now - FLAPPING).await? {
        let mutes = Mutes::of_chat(tx, chat_id, now).await?;
        let mut reminded = Vec::new();
        let mut is_due = false;
        for incident in incidents::open_in_chat(tx, chat_id).await? {
            if incident.quiet_since.is_some_and(|since| since <= now - FLAPPING) {
                resolve(tx, core, incident, now).await?;
            } else if mutes.cover(&incident.server_id) {
                // Its time comes when the mute is over.
            } else if incident.message_id.is_none() {
                announce(tx, core, incident, now).await?;
            } else if incident.quiet_since.is_none() && incident.remind_at.is_some_and(|at| at <= now + REMIND_TOGETHER) {
                is_due |= incident.remind_at.is_some_and(|at| at <= now);
                reminded.push(incident);
            }
        }
        if is_due {
            for incident in &mut reminded {
                incident.remind(now);
                incidents::update(tx, incident).await?;
            }
            let teller = Teller { clock: &core.clock, chat_id, now };
            teller.send(tx, &Notice::Reminder, Urgency::Critical).await?;
        }
    }
    Ok(())
}

/// Somebody has it.
pub async fn acknowledge(
    tx: &mut Tx,
    core: &Core,
    teller: &Teller<'_>,
    actor: &Actor,
    tap: Option<&Tap>,
    id: &str,
) -> store::Result<()> {
    see_to(tx, core, teller, tap, id, Toast::Acknowledged, |incident| incident.acknowledge(&actor.name)).await
}

/// Nobody wants to hear of it for a while.
pub async fn snooze(
    tx: &mut Tx,
    core: &Core,
    teller: &Teller<'_>,
    tap: Option<&Tap>,
    id: &str,
    span: Millis,
) -> store::Result<()> {
    see_to(tx, core, teller, tap, id, Toast::Snoozed, |incident| incident.snooze(teller.now + span)).await
}

async fn see_to(
    tx: &mut Tx,
    core: &Core,
    teller: &Teller<'_>,
    tap: Option<&Tap>,
    id: &str,
    done: Toast,
    change: impl FnOnce(&mut Incident),
) -> store::Result<()> {
    let Some(mut incident) = incidents::get(tx, teller.chat_id, id).await? else {
        teller.show(tx, tap, &Notice::Alerts { page: 0 }).await?;
        return teller.toast(tx, tap, Toast::AlertOver).await;
    };
    let toast = if incident.is_open() {
        change(&mut incident);
        incidents::update(tx, &incident).await?;
        show(tx, core, &incident, teller.now).await?;
        done
    } else {
        Toast::AlertOver
    };
    if !stands_under(tx, teller, tap, incident.message_id.as_deref()).await? {
        teller.show(tx, tap, &Notice::Incident { incident_id: id.to_owned() }).await?;
    }
    teller.toast(tx, tap, toast).await
}

/// Whether the tapped button stands under this message of ours.
async fn stands_under(tx: &mut Tx, teller: &Teller<'_>, tap: Option<&Tap>, message_id: Option<&str>) -> store::Result<bool> {
    let Some(telegram_id) = tap.and_then(|tap| tap.message_id) else { return Ok(false) };
    let known = messages::by_telegram_id(tx, teller.chat_id, telegram_id).await?;
    Ok(known.is_some() && known.as_deref() == message_id)
}

/// Somebody has everything that is open.
pub async fn acknowledge_all(
    tx: &mut Tx,
    core: &Core,
    teller: &Teller<'_>,
    actor: &Actor,
    tap: Option<&Tap>,
) -> store::Result<()> {
    for mut incident in incidents::open_in_chat(tx, teller.chat_id).await? {
        if incident.acked_by.is_none() {
            incident.acknowledge(&actor.name);
            incidents::update(tx, &incident).await?;
            show(tx, core, &incident, teller.now).await?;
        }
    }
    teller.show(tx, tap, &Notice::Alerts { page: 0 }).await?;
    teller.toast(tx, tap, Toast::Acknowledged).await
}

/// Goes the way that alerts go, so that a person hears whether it rings.
pub async fn test(tx: &mut Tx, teller: &Teller<'_>, tap: Option<&Tap>) -> store::Result<()> {
    teller.send(tx, &Notice::TestAlert, Urgency::Critical).await?;
    teller.toast(tx, tap, Toast::Done).await
}
