//! Which use case an intent is.

use crate::{
    domain::{
        HOUR, Millis,
        intent::{Intent, Request},
        notice::{Notice, Toast},
    },
    store,
    usecase::{
        alert::{attend, threshold},
        chat::mute,
        command::{ask, cancel, confirm},
        pair,
        scene::Scene,
        server::look,
    },
};

/// Does what a person asked for, who may.
pub async fn dispatch(scene: &mut Scene<'_>, request: &Request) -> store::Result<()> {
    match &request.intent {
        Intent::Start { .. } => scene.turn_to(&Notice::Welcome { claimed: false }).await,
        Intent::Help => scene.turn_to(&Notice::Help).await,
        Intent::UnknownCommand => scene.turn_to(&Notice::UnknownCommand).await,
        Intent::StaleButton => scene.stale().await,
        Intent::Servers { page } => scene.turn_to(&Notice::Servers { page: *page }).await,
        Intent::AddServer { name } => pair::token::start(scene, &request.chat, name.as_deref()).await,
        Intent::PairingSteps { pairing_id, family } => {
            scene.turn_to(&Notice::Pairing { pairing_id: *pairing_id, family: *family }).await
        }
        Intent::Status { name } => look::status(scene, name.as_deref()).await,
        Intent::ShowServer { server_id } => look::open(scene, *server_id).await,
        Intent::Refresh { server_id, page } => {
            let notice = Notice::Status { server_id: *server_id, page: *page };
            look::turn(scene, *server_id, &notice, Toast::Refreshed).await
        }
        Intent::Services { server_id, page } => {
            let notice = Notice::Services { server_id: *server_id, page: *page };
            look::turn(scene, *server_id, &notice, Toast::Done).await
        }
        Intent::AskRestart { server_id, unit } => ask::restart(scene, *server_id, unit).await,
        Intent::AskChore { server_id, chore } => ask::chore(scene, *server_id, *chore).await,
        Intent::RemoveServer { name } => ask::remove_named(scene, name.as_deref()).await,
        Intent::AskRemove { server_id } => ask::remove(scene, *server_id).await,
        Intent::Confirm { confirmation_id } => confirm::confirm(scene, *confirmation_id).await,
        Intent::Decline { confirmation_id } => confirm::decline(scene, *confirmation_id).await,
        Intent::CancelReboot { command_id } => cancel::reboot(scene, *command_id).await,
        Intent::Alerts { page } => scene.turn_to(&Notice::Alerts { page: *page }).await,
        Intent::ShowIncident { incident_id } => attend::show(scene, *incident_id).await,
        Intent::Acknowledge { incident_id } => attend::acknowledge(scene, *incident_id).await,
        Intent::AcknowledgeAll => attend::acknowledge_all(scene).await,
        Intent::Snooze { incident_id, hours } => attend::snooze(scene, *incident_id, Millis::from(*hours) * HOUR).await,
        Intent::TestAlert => attend::test(scene).await,
        Intent::Thresholds { name } => threshold::open(scene, name.as_deref()).await,
        Intent::ShowThresholds { server_id } => {
            threshold::show(scene, *server_id, &Notice::Thresholds { server_id: *server_id }).await
        }
        Intent::TryThreshold { server_id, rule, setting } => {
            let notice = Notice::Threshold { server_id: *server_id, rule: *rule, tried: *setting };
            threshold::show(scene, *server_id, &notice).await
        }
        Intent::SetThreshold { server_id, rule, setting } => threshold::set(scene, *server_id, *rule, *setting).await,
        Intent::Mute { words } => mute::ask(scene, words.as_deref()).await,
        Intent::MuteFor { server_id, hours } => mute::mute_for(scene, *server_id, Millis::from(*hours) * HOUR).await,
        Intent::Unmute { mute_id } => mute::end(scene, *mute_id).await,
        Intent::TimeZone { name } => mute::set_zone(scene, name.as_deref()).await,
        // Handled before anybody's role was asked for.
        Intent::Reachable { .. } | Intent::Migrated { .. } => Ok(()),
    }
}
