//! Limits are shown, tried and set: of a chat, or of one of its servers.

use crate::{
    domain::{
        alert::{Rule, Setting},
        event::Event,
        ids::ServerId,
        notice::{Notice, Purpose, Toast},
    },
    store::{self, servers, thresholds},
    usecase::{
        scene::Scene,
        server::find::{Found, find},
    },
};

/// `/thresholds [name]`: shows the limits, or asks which server is meant.
pub async fn open(scene: &mut Scene<'_>, name: Option<&str>) -> store::Result<()> {
    let notice = match name {
        None => Notice::Thresholds { server_id: None },
        Some(name) => match find(&mut scene.work.tx, scene.chat_id, Some(name), Purpose::Thresholds).await? {
            Found::One(server_id) => Notice::Thresholds { server_id: Some(server_id) },
            Found::Other(notice) => notice,
        },
    };
    scene.say(&notice).await
}

/// Shows a page of limits in place.
pub async fn show(scene: &mut Scene<'_>, server_id: Option<ServerId>, notice: &Notice) -> store::Result<()> {
    if !is_known(scene, server_id).await? {
        return scene.stale().await;
    }
    scene.turn_to(notice).await
}

/// Sets a limit, or takes back what was set.
pub async fn set(scene: &mut Scene<'_>, server_id: Option<ServerId>, rule: Rule, setting: Option<Setting>) -> store::Result<()> {
    if !is_known(scene, server_id).await? {
        return scene.stale().await;
    }
    let (tx, chat_id) = (&mut scene.work.tx, scene.chat_id);
    let toast = match setting {
        Some(setting) if !setting.fits(rule) => Toast::OutOfRange,
        Some(setting) => {
            thresholds::set(tx, chat_id, server_id, rule, &setting.limits()).await?;
            scene.record_of(server_id, Event::ThresholdSet { rule, setting }).await?;
            Toast::Saved
        }
        None => {
            thresholds::reset(tx, chat_id, server_id, rule).await?;
            scene.record_of(server_id, Event::ThresholdReset { rule }).await?;
            Toast::Saved
        }
    };
    scene.show(&Notice::Threshold { server_id, rule, tried: None }).await?;
    scene.toast(toast).await
}

async fn is_known(scene: &mut Scene<'_>, server_id: Option<ServerId>) -> store::Result<bool> {
    Ok(match server_id {
        None => true,
        Some(id) => servers::get(&mut scene.work.tx, scene.chat_id, id).await?.is_some(),
    })
}
