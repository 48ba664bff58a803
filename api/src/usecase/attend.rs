//! Somebody sees to alerts.

use crate::{
    domain::{
        Millis,
        incident::Incident,
        intent::{Actor, Tap},
        notice::{Notice, Toast, Urgency},
    },
    store::{self, Tx, incidents, messages, servers},
    usecase::{Core, announce::Announcer, incident, tell::Teller},
};

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
    // Its server is held first, so that no report ends it meanwhile.
    if let Some(found) = incidents::get(tx, teller.chat_id, id).await? {
        servers::hold(tx, &[found.server_id]).await?;
    }
    let Some(mut incident) = incidents::get(tx, teller.chat_id, id).await? else {
        teller.show(tx, tap, &Notice::Alerts { page: 0 }).await?;
        return teller.toast(tx, tap, Toast::AlertOver).await;
    };
    let toast = if incident.is_open() {
        change(&mut incident);
        incidents::update(tx, &incident).await?;
        let mut told = Announcer::new(core, teller.now);
        told.changes(&incident);
        told.finish(tx).await?;
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
    let mut told = Announcer::new(core, teller.now);
    for mut incident in incident::held(tx, teller.chat_id).await? {
        if incident.acked_by.is_none() {
            incident.acknowledge(&actor.name);
            incidents::update(tx, &incident).await?;
            told.changes(&incident);
        }
    }
    told.finish(tx).await?;
    teller.show(tx, tap, &Notice::Alerts { page: 0 }).await?;
    teller.toast(tx, tap, Toast::Acknowledged).await
}

/// Goes the way that alerts go, so that a person hears whether it rings.
pub async fn test(tx: &mut Tx, teller: &Teller<'_>, tap: Option<&Tap>) -> store::Result<()> {
    teller.send(tx, &Notice::TestAlert, Urgency::Critical).await?;
    teller.toast(tx, tap, Toast::Done).await
}
