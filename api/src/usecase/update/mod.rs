//! A person wrote or tapped: the parsed update is stored once, and applied once, in one transaction with its replies.

mod dispatch;

use crate::{
    domain::{
        HOUR,
        access::{Standing, required},
        event::{By, Event, Happened, Refused},
        ids::UpdateId,
        intent::{ChatKind, Intent, Request},
        notice::{Notice, Toast, Urgency},
        update::State,
    },
    error::Result,
    store::{
        self, chats,
        updates::{self, Claimed},
    },
    usecase::{
        Core,
        access::{claim, role},
        scene::Scene,
        work::Work,
    },
};

/// Updates of one chat that may wait. What comes beyond is acknowledged and dropped: nobody types that fast.
const WAITING_MAX: i64 = 100;

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It is durable, or was so already.
    Stored,
    /// Nobody here has anything to do with whoever asks; nothing was written.
    OfStranger,
    /// Too many of its chat wait.
    Dropped,
}

/// Stores an update once; returns when it is durable.
pub async fn receive(core: &Core, update_id: UpdateId, request: &Request) -> Result<Received> {
    // Strangers are told apart before the queue: who may do what is judged when it is applied.
    if role::is_stranger(core, &mut core.store.read().await?, request).await? {
        core.refusals.count(Refused::Stranger, None);
        return Ok(Received::OfStranger);
    }
    let mut tx = core.store.begin().await?;
    let waiting = updates::waiting(&mut tx, request.chat.id).await?;
    if waiting.count >= WAITING_MAX {
        tracing::warn!(chat = %request.chat.id, "too many updates wait; one was dropped");
        return Ok(Received::Dropped);
    }
    updates::insert(&mut tx, update_id, request, waiting.turn, core.clock.now()).await?;
    tx.commit("receive-update").await?;
    Ok(Received::Stored)
}

/// Claims the oldest open update of some chat. The claim is durable before anything is done, so that a crash counts.
pub async fn claim(core: &Core) -> Result<Option<Claimed>> {
    // A look first: writers queue, and an idle worker should not be among them.
    let mut tx = core.store.read().await?;
    if !updates::any_open(&mut tx, core.clock.now()).await? {
        return Ok(None);
    }
    drop(tx);
    let mut tx = core.store.begin().await?;
    let claimed = updates::claim(&mut tx, core.clock.now()).await?;
    tx.commit("claim-update").await?;
    Ok(claimed)
}

/// Applies a claimed update, leaves its replies, and erases its payload.
pub async fn apply(core: &Core, claimed: &Claimed, standing: Standing) -> Result<()> {
    let request = claimed.request.as_ref().filter(|_| claimed.attempts <= updates::ATTEMPTS);
    let mut work = Work::begin(core, request.map_or(By::System {}, by)).await?;
    let end = if request.is_some() { State::Done } else { State::SetAside };
    if !updates::finish(&mut work.tx, claimed, end).await? {
        return Ok(());
    }
    let work = match request {
        Some(request) => handle(work, request, standing).await?,
        None => set_aside(work, claimed).await?,
    };
    work.commit("apply-update").await?;
    Ok(())
}

fn by(request: &Request) -> By {
    By::Person { id: request.actor.id, name: request.actor.name.clone() }
}

async fn set_aside<'a>(mut work: Work<'a>, claimed: &Claimed) -> store::Result<Work<'a>> {
    let attempts = claimed.attempts - 1;
    tracing::error!(
        update = %claimed.update_id,
        attempts,
        "an update that crashed the backend, or cannot be read, was set aside"
    );
    work.record(Happened::in_chat(claimed.chat_id, Event::UpdateSetAside { update: claimed.update_id.0 }));
    work.send(claimed.chat_id, &Notice::SetAside { update_id: claimed.update_id }, Urgency::Answer).await?;
    Ok(work)
}

async fn handle<'a>(mut work: Work<'a>, request: &'a Request, standing: Standing) -> store::Result<Work<'a>> {
    let chat_id = request.chat.id;
    if let Intent::Reachable { reachable } = &request.intent {
        // Looked at again all the same: that it is open again may never be said.
        let reach = if *reachable { chats::Reach::Open } else { chats::Reach::Closed { try_at: work.now + HOUR } };
        if chats::set_reach(&mut work.tx, chat_id, reach).await? {
            work.record(Happened::in_chat(chat_id, Event::Reachable { reachable: *reachable }));
        }
        return Ok(work);
    }
    if let Intent::Migrated { to } = &request.intent {
        chats::migrate(&mut work.tx, chat_id, *to).await?;
        return Ok(work);
    }
    if let Intent::Start { code: Some(code) } = &request.intent
        && request.chat.kind == ChatKind::Private
        && claim::claim(&mut work, &request.actor, code).await?
    {
        seen(&mut work, request).await?;
        work.record(Happened::in_chat(chat_id, Event::OwnerClaimed {}));
        work.send(chat_id, &Notice::Welcome { claimed: true }, Urgency::Answer).await?;
        return Ok(work);
    }
    let Some(role) = role::role(&mut work, request, standing).await? else {
        // Admitted no longer, or with a claim link that died since: what was taken up is answered.
        if let Some(tap) = &request.tap {
            work.pop(chat_id, &tap.callback_id, Toast::NotAllowed).await?;
        } else if request.chat.kind == ChatKind::Private {
            work.send(chat_id, &Notice::PrivateBot, Urgency::Background).await?;
        }
        return Ok(work);
    };
    seen(&mut work, request).await?;
    let mut scene = Scene { work, chat_id, topic: request.topic, actor: &request.actor, role, tap: request.tap.as_ref() };
    if role >= required(&request.intent) {
        dispatch::dispatch(&mut scene, request).await?;
    } else if scene.tap.is_some() {
        scene.toast(Toast::NotAllowed).await?;
    } else {
        scene.say(&Notice::NotAllowed).await?;
    }
    Ok(scene.work)
}

/// Notes the chat. Those of strangers are not stored.
async fn seen(work: &mut Work<'_>, request: &Request) -> store::Result<()> {
    let fresh = work.id();
    chats::seen(&mut work.tx, &request.chat, fresh, request.actor.language.as_deref(), work.now).await
}
