//! A button asks for something that has to be confirmed.

use osm_protocol::action::Chore;

use crate::{
    domain::{
        confirmation::{Asks, Confirmation, State, WITHIN},
        event::{Asked, Event},
        ids::ServerId,
        notice::{Notice, Purpose, Toast},
        server::Server,
    },
    store::{self, confirmations, servers},
    usecase::{
        scene::Scene,
        server::find::{Found, find},
    },
};

/// Asks to confirm a restart of the unit behind a button's tag.
pub async fn restart(scene: &mut Scene<'_>, server_id: ServerId, tag: &str) -> store::Result<()> {
    let Some(server) = commandable(scene, server_id).await? else { return Ok(()) };
    let Some(service) = server.restartable(tag) else {
        scene.show(&Notice::Services { server_id, page: 0 }).await?;
        return scene.toast(Toast::NotRestartable).await;
    };
    ask(scene, &server, Asks::Restart { unit: service.unit.clone() }).await?;
    scene.toast(Toast::Done).await
}

/// Asks to confirm a chore.
pub async fn chore(scene: &mut Scene<'_>, server_id: ServerId, chore: Chore) -> store::Result<()> {
    let Some(server) = commandable(scene, server_id).await? else { return Ok(()) };
    if !server.offers(chore) {
        scene.show(&Notice::Status { server_id, page: 0 }).await?;
        return scene.toast(Toast::NotOffered).await;
    }
    ask(scene, &server, Asks::Chore { chore }).await?;
    scene.toast(Toast::Done).await
}

/// `/remove_server [name]`: asks to confirm, or which server is meant.
pub async fn remove_named(scene: &mut Scene<'_>, name: Option<&str>) -> store::Result<()> {
    match find(&mut scene.work.tx, scene.chat_id, name, Purpose::Remove).await? {
        Found::One(server_id) => remove(scene, server_id).await,
        Found::Other(notice) => scene.say(&notice).await,
    }
}

/// Asks to confirm that a server is removed.
pub async fn remove(scene: &mut Scene<'_>, server_id: ServerId) -> store::Result<()> {
    let Some(server) = servers::get(&mut scene.work.tx, scene.chat_id, server_id).await? else {
        return scene.stale().await;
    };
    ask(scene, &server, Asks::Remove {}).await?;
    scene.toast(Toast::Done).await
}

/// Gives the chat's server, if it takes commands; otherwise the toast says why not.
async fn commandable(scene: &mut Scene<'_>, server_id: ServerId) -> store::Result<Option<Server>> {
    let server = servers::get(&mut scene.work.tx, scene.chat_id, server_id).await?;
    match &server {
        None => scene.stale().await?,
        Some(server) if server.suspended => scene.toast(Toast::Suspended).await?,
        Some(_) => return Ok(server),
    }
    Ok(None)
}

async fn ask(scene: &mut Scene<'_>, server: &Server, asks: Asks) -> store::Result<()> {
    scene.record_of(server.id, Event::Asked { what: Asked::from(&asks) }).await?;
    let confirmation = Confirmation {
        id: scene.work.id(),
        chat_id: scene.chat_id,
        user_id: scene.actor.id,
        actor_name: scene.actor.name.clone(),
        server_id: server.id,
        asks,
        expires_at: scene.work.now + WITHIN,
        state: State::Open,
        message_id: scene.work.id(),
    };
    confirmations::insert(&mut scene.work.tx, &confirmation).await?;
    scene.say_as(confirmation.message_id, &Notice::Confirmation { confirmation_id: confirmation.id }).await
}
