//! Somebody sees to alerts.

use crate::{
    domain::{
        Millis,
        event::Event,
        ids::{IncidentId, MessageId},
        incident::Incident,
        notice::{Notice, Toast, Urgency},
    },
    store::{self, incidents, messages, outbox::Shown, servers},
    usecase::{alert::incident, scene::Scene},
};

/// Marks an alert as seen to by this person.
pub async fn acknowledge(scene: &mut Scene<'_>, id: IncidentId) -> store::Result<()> {
    let by = scene.actor.name.clone();
    let done = Done { toast: Toast::Acknowledged, event: Event::AlertAcknowledged { alert: id } };
    see_to(scene, id, done, |incident| incident.acknowledge(&by)).await
}

/// Stops the reminders of an alert for a while.
pub async fn snooze(scene: &mut Scene<'_>, id: IncidentId, span: Millis) -> store::Result<()> {
    let until = scene.work.now + span;
    let done = Done { toast: Toast::Snoozed, event: Event::AlertSnoozed { alert: id, until } };
    see_to(scene, id, done, |incident| incident.snooze(until)).await
}

/// What is said and noted when somebody saw to an alert.
struct Done {
    toast: Toast,
    event: Event,
}

async fn see_to(scene: &mut Scene<'_>, id: IncidentId, done: Done, change: impl FnOnce(&mut Incident)) -> store::Result<()> {
    // Its server is held first, so that no report ends it meanwhile.
    if let Some(found) = incidents::get(&mut scene.work.tx, scene.chat_id, id).await? {
        servers::hold(&mut scene.work.tx, &[found.server_id]).await?;
    }
    let Some(mut incident) = incidents::get(&mut scene.work.tx, scene.chat_id, id).await? else {
        scene.show(&Notice::Alerts { page: 0 }).await?;
        return scene.toast(Toast::AlertOver).await;
    };
    let toast = if incident.is_open() {
        change(&mut incident);
        incidents::update(&mut scene.work.tx, &incident).await?;
        incident::record(&mut scene.work, &incident, |_| done.event);
        scene.work.changes(&incident);
        done.toast
    } else {
        Toast::AlertOver
    };
    if !stands_under(scene, incident.message_id).await? {
        scene.show(&Notice::Incident { incident_id: id }).await?;
    }
    scene.toast(toast).await
}

/// Tells whether the tapped button stands under this message of ours.
async fn stands_under(scene: &mut Scene<'_>, message_id: Option<MessageId>) -> store::Result<bool> {
    let Some(telegram_id) = scene.tap.and_then(|tap| tap.message_id) else { return Ok(false) };
    let known = messages::by_telegram_id(&mut scene.work.tx, scene.chat_id, telegram_id).await?;
    Ok(known.is_some() && known == message_id)
}

/// Marks everything that is open as seen to by this person.
pub async fn acknowledge_all(scene: &mut Scene<'_>) -> store::Result<()> {
    for mut incident in incident::held(&mut scene.work.tx, scene.chat_id).await? {
        if incident.acked_by.is_none() {
            incident.acknowledge(&scene.actor.name);
            incidents::update(&mut scene.work.tx, &incident).await?;
            incident::record(&mut scene.work, &incident, |incident| Event::AlertAcknowledged { alert: incident.id });
            scene.work.changes(&incident);
        }
    }
    scene.show(&Notice::Alerts { page: 0 }).await?;
    scene.toast(Toast::Acknowledged).await
}

/// Opens an alert from a list as a message of its own.
pub async fn show(scene: &mut Scene<'_>, incident_id: IncidentId) -> store::Result<()> {
    scene.say(&Notice::Incident { incident_id }).await?;
    scene.toast(Toast::Done).await
}

/// Goes the way that alerts go, so that a person hears whether it rings.
pub async fn test(scene: &mut Scene<'_>) -> store::Result<()> {
    let shown =
        Shown { chat_id: scene.chat_id, message_id: scene.work.id(), notice: &Notice::TestAlert, urgency: Urgency::Critical };
    scene.work.send_in(scene.topic, &shown).await?;
    scene.toast(Toast::Done).await
}
