//! An action is asked for, confirmed, signed and queued, handed out, finished.

use osm_protocol::{
    action::{Action, Chore, Outcome, Rejection},
    command::{Audience, Command},
    envelope::{self, Envelope},
};

use crate::{
    domain::{
        MINUTE, Millis,
        access::Role,
        command::{self, State},
        intent::{Actor, Tap},
        notice::{Limit, Notice, Toast, Urgency},
        server::Server,
    },
    error::{Refusal, Result},
    store::{
        self, Tx, Wake, commands,
        confirmations::{self, Asks, Confirmation},
        servers,
    },
    usecase::{Core, incident, server, tell::Teller},
};

const CONFIRM_WITHIN: Millis = MINUTE;

/// A button of what is no more: says so, and shows in its place what there is.
pub async fn stale(tx: &mut Tx, teller: &Teller<'_>, tap: Option<&Tap>) -> store::Result<()> {
    teller.show(tx, tap, &Notice::Servers { page: 0 }).await?;
    teller.toast(tx, tap, Toast::Stale).await
}

/// The chat's server, if it takes commands; otherwise the toast says why not.
async fn commandable(tx: &mut Tx, teller: &Teller<'_>, tap: Option<&Tap>, server_id: &str) -> store::Result<Option<Server>> {
    let server = servers::get(tx, teller.chat_id, server_id).await?;
    match &server {
        None => stale(tx, teller, tap).await?,
        Some(server) if server.suspended => teller.toast(tx, tap, Toast::Suspended).await?,
        Some(_) => return Ok(server),
    }
    Ok(None)
}

/// A restart button: asks to confirm.
pub async fn ask_restart(
    tx: &mut Tx,
    teller: &Teller<'_>,
    actor: &Actor,
    tap: Option<&Tap>,
    server_id: &str,
    tag: &str,
) -> store::Result<()> {
    let Some(server) = commandable(tx, teller, tap, server_id).await? else { return Ok(()) };
    let Some(service) = server.restartable(tag) else {
        teller.show(tx, tap, &Notice::Services { server_id: server.id, page: 0 }).await?;
        return teller.toast(tx, tap, Toast::NotRestartable).await;
    };
    ask(tx, teller, actor, server_id, Asks::Restart { unit: service.unit.clone() }).await?;
    teller.toast(tx, tap, Toast::Done).await
}

/// A chore's button: asks to confirm.
pub async fn ask_chore(
    tx: &mut Tx,
    teller: &Teller<'_>,
    actor: &Actor,
    tap: Option<&Tap>,
    server_id: &str,
    chore: Chore,
) -> store::Result<()> {
    let Some(server) = commandable(tx, teller, tap, server_id).await? else { return Ok(()) };
    if !server.offers(chore) {
        teller.show(tx, tap, &Notice::Status { server_id: server.id, page: 0 }).await?;
        return teller.toast(tx, tap, Toast::NotOffered).await;
    }
    ask(tx, teller, actor, server_id, Asks::Chore { chore }).await?;
    teller.toast(tx, tap, Toast::Done).await
}

/// Asks to confirm that a server is removed; false when the chat has no such server.
pub async fn ask_remove(tx: &mut Tx, teller: &Teller<'_>, actor: &Actor, server_id: &str) -> store::Result<bool> {
    let known = servers::get(tx, teller.chat_id, server_id).await?.is_some();
    if known {
        ask(tx, teller, actor, server_id, Asks::Remove {}).await?;
    }
    Ok(known)
}

async fn ask(tx: &mut Tx, teller: &Teller<'_>, actor: &Actor, server_id: &str, asks: Asks) -> store::Result<()> {
    let confirmation = Confirmation {
        id: teller.clock.id(),
        chat_id: teller.chat_id,
        user_id: actor.id,
        actor_name: actor.name.clone(),
        server_id: server_id.to_owned(),
        asks,
        expires_at: teller.now + CONFIRM_WITHIN,
        state: confirmations::OPEN.to_owned(),
        message_id: teller.clock.id(),
    };
    confirmations::insert(tx, &confirmation).await?;
    let notice = Notice::Confirmation { confirmation_id: confirmation.id };
    teller.send_as(tx, &confirmation.message_id, &notice, Urgency::Answer).await
}

/// The second tap. The role is that of now, not of the first tap.
pub async fn confirm(
    tx: &mut Tx,
    core: &Core,
    teller: &Teller<'_>,
    actor: &Actor,
    role: Role,
    tap: Option<&Tap>,
    id: &str,
) -> store::Result<()> {
    let Some(confirmation) = answerable(tx, teller, actor, tap, id).await? else { return Ok(()) };
    let needed = match confirmation.asks {
        Asks::Restart { .. } | Asks::Chore { .. } => Role::Operator,
        Asks::Remove {} => Role::Manager,
    };
    if role < needed {
        return teller.toast(tx, tap, Toast::NotAllowed).await;
    }
    if !confirmations::answer(tx, id, confirmations::CONFIRMED).await? {
        return teller.toast(tx, tap, Toast::AlreadyAnswered).await;
    }
    match &confirmation.asks {
        Asks::Restart { unit } => {
            let action = Action::RestartService { unit: unit.clone() };
            let toast = order(tx, core, teller, actor, &confirmation, &action).await?;
            teller.toast(tx, tap, toast).await
        }
        Asks::Chore { chore } => {
            let toast = order(tx, core, teller, actor, &confirmation, &chore.action()).await?;
            teller.toast(tx, tap, toast).await
        }
        Asks::Remove {} => {
            let toast = match server::remove(tx, core, teller.chat_id, &confirmation.server_id, teller.now).await? {
                Some(name) => {
                    teller.edit(tx, &confirmation.message_id, &Notice::Removed { name }, Urgency::Answer).await?;
                    // Its long poll learns at once that it was removed.
                    tx.wake(Wake::Commands(confirmation.server_id));
                    Toast::Done
                }
                None => Toast::Stale,
            };
            teller.toast(tx, tap, toast).await
        }
    }
}

pub async fn decline(tx: &mut Tx, teller: &Teller<'_>, actor: &Actor, tap: Option<&Tap>, id: &str) -> store::Result<()> {
    let Some(confirmation) = answerable(tx, teller, actor, tap, id).await? else { return Ok(()) };
    if !confirmations::answer(tx, id, confirmations::DECLINED).await? {
        return teller.toast(tx, tap, Toast::AlreadyAnswered).await;
    }
    let notice = Notice::Confirmation { confirmation_id: id.to_owned() };
    teller.edit(tx, &confirmation.message_id, &notice, Urgency::Answer).await?;
    teller.toast(tx, tap, Toast::Declined).await
}

/// The question, if it is open and this person's; otherwise the toast says why not.
async fn answerable(
    tx: &mut Tx,
    teller: &Teller<'_>,
    actor: &Actor,
    tap: Option<&Tap>,
    id: &str,
) -> store::Result<Option<Confirmation>> {
    let confirmation = confirmations::get(tx, teller.chat_id, id).await?;
    let toast = match &confirmation {
        None => Toast::Stale,
        Some(confirmation) if confirmation.user_id != actor.id => Toast::NotYours,
        Some(confirmation) if matches!(confirmation.state.as_str(), confirmations::CONFIRMED | confirmations::DECLINED) => {
            Toast::AlreadyAnswered
        }
        Some(confirmation) if teller.now >= confirmation.expires_at => Toast::ConfirmationExpired,
        Some(_) => return Ok(confirmation),
    };
    teller.toast(tx, tap, toast).await?;
    Ok(None)
}

/// What was confirmed is queued; the message that asked shows its course from now on.
async fn order(
    tx: &mut Tx,
    core: &Core,
    teller: &Teller<'_>,
    actor: &Actor,
    confirmation: &Confirmation,
    action: &Action,
) -> store::Result<Toast> {
    let Confirmation { server_id, message_id, .. } = confirmation;
    if commands::count_waiting(tx, server_id).await? >= commands::WAITING_MAX {
        let notice = Notice::LimitReached { limit: Limit::Commands };
        teller.edit(tx, message_id, &notice, Urgency::Answer).await?;
        return Ok(Toast::LimitReached);
    }
    match enqueue(tx, core, teller, &Order { server_id, actor, action, message_id }).await? {
        Err(toast) => {
            // The question is answered, and its buttons go.
            let notice = Notice::Status { server_id: server_id.clone(), page: 0 };
            teller.edit(tx, message_id, &notice, Urgency::Answer).await?;
            Ok(toast)
        }
        Ok(command_id) => {
            teller.edit(tx, message_id, &Notice::Command { command_id }, Urgency::Answer).await?;
            Ok(Toast::Done)
        }
    }
}

/// Takes back a reboot that was not handed out yet, or asks the host to call it off. Whoever may act may do this, at once: it is
/// the safe side.
pub async fn cancel_reboot(
    tx: &mut Tx,
    core: &Core,
    teller: &Teller<'_>,
    actor: &Actor,
    tap: Option<&Tap>,
    id: &str,
) -> store::Result<()> {
    let Some(reboot) = commands::reboot(tx, teller.chat_id, id).await? else {
        return teller.toast(tx, tap, Toast::Stale).await;
    };
    let toast = match reboot.state() {
        Some(State::Queued) if take_back(tx, core, &reboot, teller.now).await? => Toast::Declined,
        // Queued still: it is being handed out at this very moment.
        Some(State::Queued | State::Delivered) => call_off(tx, core, teller, actor, &reboot).await?,
        _ => Toast::RebootOver,
    };
    teller.toast(tx, tap, toast).await
}

/// False when it was handed out first.
async fn take_back(tx: &mut Tx, core: &Core, reboot: &commands::Open, now: Millis) -> store::Result<bool> {
    let finish = commands::Finish { reason: None, detail: "", at: now };
    let taken_back = commands::transition(tx, &reboot.id, State::Queued, State::Cancelled, Some(finish)).await?;
    if taken_back {
        show(tx, core, reboot, now).await?;
    }
    Ok(taken_back)
}

/// Asks the host, once, in a message of its own. However much waits for it: a reboot that nobody wants must not.
async fn call_off(tx: &mut Tx, core: &Core, teller: &Teller<'_>, actor: &Actor, reboot: &commands::Open) -> store::Result<Toast> {
    let action = Action::CancelReboot { of: reboot.id.clone() };
    if commands::is_asked(tx, &reboot.server_id, &action).await? {
        return Ok(Toast::CancelAsked);
    }
    let message_id = teller.clock.id();
    let order = Order { server_id: &reboot.server_id, actor, action: &action, message_id: &message_id };
    match enqueue(tx, core, teller, &order).await? {
        Err(toast) => Ok(toast),
        Ok(command_id) => {
            teller.send_as(tx, &message_id, &Notice::Command { command_id }, Urgency::Answer).await?;
            Ok(Toast::Done)
        }
    }
}

/// What a person wants done, and the message that is to show its course.
struct Order<'a> {
    server_id: &'a str,
    actor: &'a Actor,
    action: &'a Action,
    message_id: &'a str,
}

/// Signs a command and queues it; gives its id, or the toast that says why not.
async fn enqueue(
    tx: &mut Tx,
    core: &Core,
    teller: &Teller<'_>,
    order: &Order<'_>,
) -> store::Result<std::result::Result<String, Toast>> {
    let Order { server_id, actor, action, message_id } = *order;
    // Another chat's it may be by now: a host can be paired anew while a question is open.
    let server = servers::by_id(tx, server_id).await?.filter(|server| server.chat_id == teller.chat_id);
    let Some(server) = server else { return Ok(Err(Toast::Stale)) };
    if server.suspended {
        return Ok(Err(Toast::Suspended));
    }
    let now = teller.now;
    let Some(seq) = servers::next_seq(tx, &server.id, now).await? else { return Ok(Err(Toast::Stale)) };
    let payload = Command {
        v: 1,
        iss: core.config.public_url.text.clone(),
        aud: Audience { server_id: server.id.clone(), agent_key: server.agent_key },
        jti: core.clock.id(),
        seq,
        iat: now,
        nbf: now,
        exp: now + command::validity(action),
        action: action.clone(),
        requested_by: format!("{} ({})", actor.name, actor.id),
    };
    let envelope = core.keys.sign(envelope::COMMAND, &payload);
    commands::insert(
        tx,
        &commands::New {
            id: &payload.jti,
            server_id: &server.id,
            chat_id: teller.chat_id,
            seq,
            action,
            requested_by: &actor.name,
            user_id: actor.id,
            envelope: &envelope,
            created_at: now,
            expires_at: payload.exp,
            answer_by: command::answer_by(action, payload.exp),
            message_id,
        },
    )
    .await?;
    incident::show_command(tx, core, &server.id, now).await?;
    tx.wake(Wake::Commands(server.id));
    Ok(Ok(payload.jti))
}

/// What waits for an agent beyond `after`, in order; each is from now on delivered.
pub async fn hand_out(core: &Core, server_id: &str, after: i64) -> Result<Vec<Envelope>> {
    let now = core.clock.now();
    let mut tx = core.store.read().await?;
    let server = servers::by_id(&mut tx, server_id).await?.ok_or(Refusal::Removed)?;
    if server.suspended || !commands::any_waiting(&mut tx, server_id, after, now).await? {
        return Ok(Vec::new());
    }
    drop(tx);
    let mut tx = core.store.begin().await?;
    let handed_out = commands::hand_out(&mut tx, server_id, after, now).await?;
    for (open, _) in handed_out.iter().filter(|(open, _)| open.state() == Some(State::Queued)) {
        show(&mut tx, core, open, now).await?;
    }
    tx.commit("hand-out").await?;
    Ok(handed_out.into_iter().map(|(_, envelope)| envelope).collect())
}

/// The agent said how a command ended. Saying it again changes nothing.
pub async fn finish(core: &Core, server_id: &str, id: &str, outcome: &Outcome) -> Result<()> {
    if outcome.detail.chars().count() > Outcome::DETAIL_MAX || outcome.detail.chars().any(char::is_control) {
        return Err(Refusal::Invalid("detail: at most 500 characters, and no control characters".to_owned()).into());
    }
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    servers::by_id(&mut tx, server_id).await?.ok_or(Refusal::Removed)?;
    let open = commands::of_server(&mut tx, server_id, id).await?.ok_or(Refusal::NoSuchCommand)?;
    let Some((from, to)) = open.state().and_then(|from| Some((from, from.with_outcome(outcome.result)?))) else {
        return Ok(());
    };
    let finish =
        commands::Finish { reason: outcome.reason.as_ref().map(store::to_json::<Rejection>), detail: &outcome.detail, at: now };
    if commands::transition(&mut tx, id, from, to, Some(finish)).await? {
        show(&mut tx, core, &open, now).await?;
    }
    tx.commit("outcome").await?;
    Ok(())
}

/// What time alone ends: commands nobody fetched or answered, questions nobody confirmed. Each chat is told by an edit.
pub async fn sweep(tx: &mut Tx, core: &Core, now: Millis) -> store::Result<()> {
    for open in commands::due(tx, now).await? {
        let Some(from) = open.state() else { continue };
        if let Some(to) = from.with_time(open.expires_at, open.answer_by, now) {
            let finish = commands::Finish { reason: None, detail: "", at: now };
            if commands::transition(tx, &open.id, from, to, Some(finish)).await? {
                show(tx, core, &open, now).await?;
            }
        }
    }
    for (confirmation_id, chat_id, message_id) in confirmations::expire(tx, now).await? {
        let teller = Teller { clock: &core.clock, chat_id, now };
        teller.edit(tx, &message_id, &Notice::Confirmation { confirmation_id }, Urgency::Background).await?;
    }
    Ok(())
}

/// Ends what was asked of a server before its host was paired anew: questions, and commands that nobody has fetched.
pub async fn end_all(tx: &mut Tx, core: &Core, server_id: &str, now: Millis) -> store::Result<()> {
    for open in commands::queued(tx, server_id).await? {
        take_back(tx, core, &open, now).await?;
    }
    for (confirmation_id, chat_id, message_id) in confirmations::close(tx, server_id).await? {
        let teller = Teller { clock: &core.clock, chat_id, now };
        teller.edit(tx, &message_id, &Notice::Confirmation { confirmation_id }, Urgency::Background).await?;
    }
    Ok(())
}

async fn show(tx: &mut Tx, core: &Core, open: &commands::Open, now: Millis) -> store::Result<()> {
    let teller = Teller { clock: &core.clock, chat_id: open.chat_id, now };
    teller.edit(tx, &open.message_id, &Notice::Command { command_id: open.id.clone() }, Urgency::Answer).await?;
    incident::show_command(tx, core, &open.server_id, now).await
}
