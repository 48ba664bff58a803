//! What was confirmed is signed and queued.

use osm_protocol::{
    action::Action,
    command::{Audience, Command},
    envelope,
};

use crate::{
    domain::{
        command,
        confirmation::Confirmation,
        event::{Event, Happened},
        ids::{CommandId, MessageId, ServerId},
        notice::{Limit, Notice, Toast},
    },
    store::{self, Wake, commands, servers},
    usecase::{alert::incident, scene::Scene},
};

/// Queues what was confirmed; the message that asked shows its course from now on.
pub async fn confirmed(scene: &mut Scene<'_>, confirmation: &Confirmation, action: &Action) -> store::Result<Toast> {
    let Confirmation { server_id, message_id, .. } = *confirmation;
    if commands::count_waiting(&mut scene.work.tx, server_id).await? >= commands::WAITING_MAX {
        scene.edit(message_id, &Notice::LimitReached { limit: Limit::Commands }).await?;
        return Ok(Toast::LimitReached);
    }
    match enqueue(scene, &Order { server_id, action, message_id }).await? {
        Err(toast) => {
            // The question is answered, and its buttons go.
            scene.edit(message_id, &Notice::Status { server_id, page: 0 }).await?;
            Ok(toast)
        }
        Ok(command_id) => {
            scene.edit(message_id, &Notice::Command { command_id }).await?;
            Ok(Toast::Done)
        }
    }
}

/// What a person wants done, and the message that is to show its course.
pub struct Order<'a> {
    pub server_id: ServerId,
    pub action: &'a Action,
    pub message_id: MessageId,
}

/// Signs a command and queues it; gives its id, or the toast that says why not.
pub async fn enqueue(scene: &mut Scene<'_>, order: &Order<'_>) -> store::Result<Result<CommandId, Toast>> {
    let Order { server_id, action, message_id } = *order;
    let now = scene.work.now;
    // Another chat's it may be by now: a host can be paired anew while a question is open.
    let server = servers::paired(&mut scene.work.tx, server_id).await?.filter(|server| server.chat_id == scene.chat_id);
    let Some(server) = server else { return Ok(Err(Toast::Stale)) };
    if server.suspended {
        return Ok(Err(Toast::Suspended));
    }
    let Some(seq) = servers::next_seq(&mut scene.work.tx, server_id, now).await? else { return Ok(Err(Toast::Stale)) };
    let payload = Command {
        v: 1,
        iss: scene.work.core.config.public_url.text.clone(),
        aud: Audience { server_id, agent_key: server.agent_key },
        jti: scene.work.id(),
        seq,
        iat: now,
        nbf: now,
        exp: now + command::validity(action),
        action: action.clone(),
        requested_by: format!("{} ({})", scene.actor.name, scene.actor.id),
    };
    let new = commands::New {
        id: payload.jti,
        server_id,
        chat_id: scene.chat_id,
        seq,
        action,
        requested_by: &scene.actor.name,
        user_id: scene.actor.id,
        envelope: &scene.work.core.keys.sign(envelope::COMMAND, &payload),
        created_at: now,
        expires_at: payload.exp,
        answer_by: command::answer_by(action, payload.exp),
        message_id,
    };
    commands::insert(&mut scene.work.tx, &new).await?;
    let queued = Event::CommandQueued { command: payload.jti, action: action.clone() };
    scene.work.record(Happened::to_server(scene.chat_id, server_id, &server.name, queued));
    incident::show_command(&mut scene.work, server_id).await?;
    scene.work.tx.wake(Wake::Commands(server_id));
    Ok(Ok(payload.jti))
}
