//! A reboot is taken back before it was handed out, or called off on the host.

use osm_protocol::action::Action;

use crate::{
    domain::{
        command::State,
        ids::CommandId,
        notice::{Notice, Toast},
    },
    store::{self, commands},
    usecase::{
        command::{
            finish::take_back,
            order::{Order, enqueue},
        },
        scene::Scene,
    },
};

/// Takes back a reboot that was not handed out yet, or asks the host to call it off. Whoever may act may do this, at once: it is
/// the safe side.
pub async fn reboot(scene: &mut Scene<'_>, id: CommandId) -> store::Result<()> {
    let Some((reboot, Action::Reboot {})) = commands::of_chat(&mut scene.work.tx, scene.chat_id, id).await? else {
        return scene.toast(Toast::Stale).await;
    };
    let toast = match reboot.state {
        State::Queued if take_back(&mut scene.work, &reboot).await? => Toast::Declined,
        // Queued still: it is being handed out at this very moment.
        State::Queued | State::Delivered => call_off(scene, &reboot).await?,
        State::Succeeded
        | State::Failed
        | State::Rejected
        | State::Indeterminate
        | State::Unanswered
        | State::Expired
        | State::Cancelled => Toast::RebootOver,
    };
    scene.toast(toast).await
}

/// Asks the host, once, in a message of its own. However much waits for it: a reboot that nobody wants must not.
async fn call_off(scene: &mut Scene<'_>, reboot: &commands::Open) -> store::Result<Toast> {
    let action = Action::CancelReboot { of: reboot.id };
    let asked = commands::asked(&mut scene.work.tx, reboot.server_id, reboot.created_at).await?;
    if asked.iter().any(|asked| asked.action == action && asked.state.is_under_way_or_done()) {
        return Ok(Toast::CancelAsked);
    }
    let message_id = scene.work.id();
    match enqueue(scene, &Order { server_id: reboot.server_id, action: &action, message_id }).await? {
        Err(toast) => Ok(toast),
        Ok(command_id) => {
            scene.say_as(message_id, &Notice::Command { command_id }).await?;
            Ok(Toast::Done)
        }
    }
}
