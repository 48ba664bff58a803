//! The second tap: what was asked is confirmed or declined.

use crate::{
    domain::{
        access::required_to_confirm,
        confirmation::{Confirmation, State, Unanswerable},
        event::{Asked, Event, Happened},
        ids::ConfirmationId,
        notice::{Notice, Toast},
    },
    store::{self, Wake, confirmations},
    usecase::{command::order, scene::Scene, server::remove},
};

/// Does what was asked. The role is that of now, not of the first tap.
pub async fn confirm(scene: &mut Scene<'_>, id: ConfirmationId) -> store::Result<()> {
    let Some(confirmation) = answerable(scene, id).await? else { return Ok(()) };
    if scene.role < required_to_confirm(&confirmation.asks) {
        return scene.toast(Toast::NotAllowed).await;
    }
    if !confirmations::answer(&mut scene.work.tx, id, State::Confirmed).await? {
        return scene.toast(Toast::AlreadyAnswered).await;
    }
    let what = Asked::from(&confirmation.asks);
    scene.record_of(confirmation.server_id, Event::Confirmed { what }).await?;
    let toast = match confirmation.asks.action() {
        Some(action) => order::confirmed(scene, &confirmation, &action).await?,
        None => remove_server(scene, &confirmation).await?,
    };
    scene.toast(toast).await
}

async fn remove_server(scene: &mut Scene<'_>, confirmation: &Confirmation) -> store::Result<Toast> {
    let Confirmation { server_id, message_id, .. } = *confirmation;
    let Some(name) = remove::remove(&mut scene.work, scene.chat_id, server_id).await? else { return Ok(Toast::Stale) };
    scene.work.record(Happened::to_server(scene.chat_id, server_id, &name, Event::Removed {}));
    scene.edit(message_id, &Notice::Removed { name }).await?;
    // Its long poll learns at once that it was removed.
    scene.work.tx.wake(Wake::Commands(server_id));
    Ok(Toast::Done)
}

/// Leaves what was asked undone.
pub async fn decline(scene: &mut Scene<'_>, id: ConfirmationId) -> store::Result<()> {
    let Some(confirmation) = answerable(scene, id).await? else { return Ok(()) };
    if !confirmations::answer(&mut scene.work.tx, id, State::Declined).await? {
        return scene.toast(Toast::AlreadyAnswered).await;
    }
    scene.record_of(confirmation.server_id, Event::Declined { what: Asked::from(&confirmation.asks) }).await?;
    scene.edit(confirmation.message_id, &Notice::Confirmation { confirmation_id: id }).await?;
    scene.toast(Toast::Declined).await
}

/// Gives the question, if it is open and this person's; otherwise the toast says why not.
async fn answerable(scene: &mut Scene<'_>, id: ConfirmationId) -> store::Result<Option<Confirmation>> {
    let Some(confirmation) = confirmations::get(&mut scene.work.tx, scene.chat_id, id).await? else {
        scene.toast(Toast::Stale).await?;
        return Ok(None);
    };
    let toast = match confirmation.answerable(scene.actor.id, scene.work.now) {
        Ok(()) => return Ok(Some(confirmation)),
        Err(Unanswerable::NotYours) => Toast::NotYours,
        Err(Unanswerable::AlreadyAnswered) => Toast::AlreadyAnswered,
        Err(Unanswerable::Expired) => Toast::ConfirmationExpired,
    };
    scene.toast(toast).await?;
    Ok(None)
}
