//! A person wrote or tapped: the parsed update is stored once, and applied once, in one transaction with its replies.

use crate::{
    domain::{
        HOUR, Millis,
        access::{Role, required},
        intent::{ChatKind, Intent, Request},
        notice::{Notice, Toast, Urgency},
    },
    error::Result,
    store::{
        self, Tx, chats,
        updates::{self, Claimed},
    },
    usecase::{Core, access, attend, command, mute, pair, server, tell::Teller, threshold},
};

/// Updates of one chat that may wait. What comes beyond is acknowledged and dropped: nobody types that fast.
const WAITING_MAX: i64 = 100;

/// Stores an update once; returns when it is durable.
pub async fn receive(core: &Core, update_id: i64, request: &Request) -> Result<()> {
    let mut tx = core.store.begin().await?;
    if updates::count_open(&mut tx, request.chat.id).await? >= WAITING_MAX {
        tracing::warn!(chat = request.chat.id, "too many updates wait; one was dropped");
        return Ok(());
    }
    updates::insert(&mut tx, update_id, request, core.clock.now()).await?;
    tx.commit("receive-update").await?;
    Ok(())
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
pub async fn apply(core: &Core, claimed: &Claimed, is_admin: bool) -> Result<()> {
    let mut tx = core.store.begin().await?;
    let teller = Teller { clock: &core.clock, chat_id: claimed.chat_id, now: core.clock.now() };
    let request = claimed.request.as_ref().filter(|_| claimed.attempts <= updates::ATTEMPTS);
    if !updates::finish(&mut tx, claimed, request.is_none()).await? {
        return Ok(());
    }
    if let Some(request) = request {
        handle(&mut tx, core, &teller, request, is_admin).await?;
    } else {
        let attempts = claimed.attempts - 1;
        tracing::error!(
            update = claimed.update_id,
            attempts,
            "an update that crashed the backend, or cannot be read, was set aside"
        );
        teller.send(&mut tx, &Notice::SetAside { update_id: claimed.update_id }, Urgency::Answer).await?;
    }
    tx.commit("apply-update").await?;
    Ok(())
}

async fn handle(tx: &mut Tx, core: &Core, teller: &Teller<'_>, request: &Request, is_admin: bool) -> store::Result<()> {
    chats::seen(tx, &request.chat, request.actor.language.as_deref(), teller.now).await?;
    match &request.intent {
        Intent::Reachable { reachable } => return chats::set_reachable(tx, request.chat.id, *reachable).await,
        Intent::Migrated { to } => return chats::migrate(tx, request.chat.id, *to).await,
        Intent::Start { code: Some(code) }
            if request.chat.kind == ChatKind::Private && access::claim(tx, core, &request.actor, code).await? =>
        {
            return teller.send(tx, &Notice::Welcome { claimed: true }, Urgency::Answer).await.map(drop);
        }
        _ => {}
    }
    match access::role(tx, core, request, is_admin).await? {
        None => refuse_stranger(tx, teller, request).await,
        Some(role) if role < required(&request.intent) => match &request.tap {
            Some(_) => teller.toast(tx, request.tap.as_ref(), Toast::NotAllowed).await,
            None => teller.send(tx, &Notice::NotAllowed, Urgency::Answer).await.map(drop),
        },
        Some(role) => dispatch(tx, core, teller, request, role).await,
    }
}

/// A private bot says so, once an hour: a stranger's messages must not become ours.
async fn refuse_stranger(tx: &mut Tx, teller: &Teller<'_>, request: &Request) -> store::Result<()> {
    if request.tap.is_some() {
        return teller.toast(tx, request.tap.as_ref(), Toast::NotAllowed).await;
    }
    if request.chat.kind == ChatKind::Private && chats::may_refuse(tx, request.chat.id, HOUR, teller.now).await? {
        teller.send(tx, &Notice::PrivateBot, Urgency::Background).await?;
    }
    Ok(())
}

async fn dispatch(tx: &mut Tx, core: &Core, teller: &Teller<'_>, request: &Request, role: Role) -> store::Result<()> {
    let tap = request.tap.as_ref();
    let actor = &request.actor;
    match &request.intent {
        Intent::Start { .. } => say(tx, teller, request, Notice::Welcome { claimed: false }).await,
        Intent::Help => say(tx, teller, request, Notice::Help).await,
        Intent::UnknownCommand => say(tx, teller, request, Notice::UnknownCommand).await,
        Intent::Servers { page } => say(tx, teller, request, Notice::Servers { page: *page }).await,
        Intent::AddServer { name } => pair::start(tx, core, teller, request, name.as_deref()).await,
        Intent::PairingSteps { pairing_id, family } => {
            say(tx, teller, request, Notice::Pairing { pairing_id: pairing_id.clone(), family: *family }).await
        }
        Intent::Status { name } => server::show_status(tx, teller, name.as_deref()).await,
        Intent::ShowServer { server_id } => server::open(tx, teller, tap, server_id).await,
        Intent::Refresh { server_id, page } => {
            let notice = Notice::Status { server_id: server_id.clone(), page: *page };
            server::turn(tx, teller, tap, server_id, notice, Toast::Refreshed).await
        }
        Intent::Services { server_id, page } => {
            let notice = Notice::Services { server_id: server_id.clone(), page: *page };
            server::turn(tx, teller, tap, server_id, notice, Toast::Done).await
        }
        Intent::AskRestart { server_id, unit } => command::ask_restart(tx, teller, actor, tap, server_id, unit).await,
        Intent::AskChore { server_id, chore } => command::ask_chore(tx, teller, actor, tap, server_id, *chore).await,
        Intent::CancelReboot { command_id } => command::cancel_reboot(tx, core, teller, actor, tap, command_id).await,
        Intent::RemoveServer { name } => server::ask_remove(tx, teller, actor, name.as_deref()).await,
        Intent::AskRemove { server_id } => {
            let known = command::ask_remove(tx, teller, actor, server_id).await?;
            if known { teller.toast(tx, tap, Toast::Done).await } else { command::stale(tx, teller, tap).await }
        }
        Intent::Alerts { page } => say(tx, teller, request, Notice::Alerts { page: *page }).await,
        Intent::ShowIncident { incident_id } => {
            teller.send(tx, &Notice::Incident { incident_id: incident_id.clone() }, Urgency::Answer).await?;
            teller.toast(tx, tap, Toast::Done).await
        }
        Intent::Acknowledge { incident_id } => attend::acknowledge(tx, core, teller, actor, tap, incident_id).await,
        Intent::AcknowledgeAll => attend::acknowledge_all(tx, core, teller, actor, tap).await,
        Intent::Snooze { incident_id, hours } => {
            attend::snooze(tx, core, teller, tap, incident_id, Millis::from(*hours) * HOUR).await
        }
        Intent::TestAlert => attend::test(tx, teller, tap).await,
        Intent::Thresholds { name } => threshold::open(tx, teller, name.as_deref()).await,
        Intent::ShowThresholds { server_id } => {
            let notice = Notice::Thresholds { server_id: server_id.clone() };
            threshold::show(tx, teller, tap, server_id.as_deref(), &notice).await
        }
        Intent::TryThreshold { server_id, rule, setting } => {
            let notice = Notice::Threshold { server_id: server_id.clone(), rule: *rule, tried: *setting };
            threshold::show(tx, teller, tap, server_id.as_deref(), &notice).await
        }
        Intent::SetThreshold { server_id, rule, setting } => {
            threshold::set(tx, teller, tap, server_id.as_deref(), *rule, *setting).await
        }
        Intent::Mute { words } => mute::ask(tx, teller, actor, words.as_deref()).await,
        Intent::MuteFor { server_id, hours } => {
            mute::mute_for(tx, teller, actor, tap, server_id.as_deref(), Millis::from(*hours) * HOUR).await
        }
        Intent::Unmute { mute_id } => mute::end(tx, teller, tap, mute_id).await,
        Intent::TimeZone { name } => mute::set_zone(tx, teller, name.as_deref()).await,
        Intent::Confirm { confirmation_id } => command::confirm(tx, core, teller, actor, role, tap, confirmation_id).await,
        Intent::Decline { confirmation_id } => command::decline(tx, teller, actor, tap, confirmation_id).await,
        Intent::StaleButton => command::stale(tx, teller, tap).await,
        // Handled before anybody's role was asked for.
        Intent::Reachable { .. } | Intent::Migrated { .. } => Ok(()),
    }
}

/// Shows a notice in place of the tapped message, or as a new one.
async fn say(tx: &mut Tx, teller: &Teller<'_>, request: &Request, notice: Notice) -> store::Result<()> {
    teller.show(tx, request.tap.as_ref(), &notice).await?;
    teller.toast(tx, request.tap.as_ref(), Toast::Done).await
}
