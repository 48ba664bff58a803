//! A chat or a server is told to be silent for a while, or every day; and the time zone in which that is meant.

use crate::{
    domain::{
        Millis,
        event::Event,
        ids::{MuteId, ServerId},
        mute::{Mute, PER_CHAT, Window},
        notice::{Limit, Notice, Toast, Usage},
    },
    store::{self, chats, mutes, servers},
    usecase::scene::Scene,
    zone::Zone,
};

/// `/mute [server] [2h | 22:00-06:00]`: begins a mute; without anything, shows the buttons.
pub async fn ask(scene: &mut Scene<'_>, words: Option<&str>) -> store::Result<()> {
    let notice = match words {
        Some(words) => begin_written(scene, words).await?,
        None => Notice::Mutes,
    };
    scene.say(&notice).await
}

/// Begins the mute that a person wrote, and gives what to answer.
async fn begin_written(scene: &mut Scene<'_>, words: &str) -> store::Result<Notice> {
    // The last word says for how long; names have spaces.
    let (name, window) = words.rsplit_once(' ').map_or((None, words), |(name, window)| (Some(name.trim()), window));
    let Some(window) = Window::parse(window, scene.work.now) else {
        return Ok(Notice::NotUnderstood { usage: Usage::Mute });
    };
    let server_id = match name {
        None => None,
        Some(name) => match servers::named(&mut scene.work.tx, scene.chat_id, name).await?.pop() {
            Some(named) => Some(named),
            None => return Ok(Notice::NoSuchServer { name: name.to_owned() }),
        },
    };
    let begun = begin(scene, server_id, window).await?;
    Ok(if begun { Notice::Mutes } else { Notice::LimitReached { limit: Limit::Mutes } })
}

/// Mutes for this long from now: the buttons of `/mute`.
pub async fn mute_for(scene: &mut Scene<'_>, server_id: Option<ServerId>, span: Millis) -> store::Result<()> {
    if let Some(id) = server_id
        && servers::get(&mut scene.work.tx, scene.chat_id, id).await?.is_none()
    {
        return scene.stale().await;
    }
    let until = scene.work.now + span;
    let begun = begin(scene, server_id, Window::Until(until)).await?;
    scene.show(&Notice::Mutes).await?;
    scene.toast(if begun { Toast::Muted } else { Toast::TooManyMutes }).await
}

/// Begins a mute; false where the chat has as many as it may.
async fn begin(scene: &mut Scene<'_>, server_id: Option<ServerId>, window: Window) -> store::Result<bool> {
    if mutes::of_chat(&mut scene.work.tx, scene.chat_id, scene.work.now).await?.len() >= PER_CHAT {
        return Ok(false);
    }
    let mute = Mute { id: scene.work.id(), server_id, window, created_by: scene.actor.name.clone() };
    mutes::insert(&mut scene.work.tx, scene.chat_id, &mute).await?;
    let event = match window {
        Window::Until(until) => Event::Muted { until: Some(until), daily: None },
        Window::Daily { from, to } => Event::Muted { until: None, daily: Some((from, to)) },
    };
    scene.record_of(server_id, event).await?;
    Ok(true)
}

/// Ends a mute before its time.
pub async fn end(scene: &mut Scene<'_>, id: MuteId) -> store::Result<()> {
    let toast = if mutes::remove(&mut scene.work.tx, scene.chat_id, id).await? {
        scene.record(Event::Unmuted {});
        Toast::Unmuted
    } else {
        Toast::Stale
    };
    scene.show(&Notice::Mutes).await?;
    scene.toast(toast).await
}

/// `/timezone [Area/City]`: sets the chat's time zone, or says which it is.
pub async fn set_zone(scene: &mut Scene<'_>, name: Option<&str>) -> store::Result<()> {
    let notice = match name.map(Zone::parse) {
        Some(None) => Notice::NotUnderstood { usage: Usage::TimeZone },
        Some(Some(zone)) => {
            chats::set_zone(&mut scene.work.tx, scene.chat_id, Some(zone.name())).await?;
            scene.record(Event::TimeZoneSet { zone: zone.name().to_owned() });
            Notice::TimeZone
        }
        None => Notice::TimeZone,
    };
    scene.say(&notice).await
}
