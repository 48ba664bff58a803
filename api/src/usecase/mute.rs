//! A chat or a server is told to be silent for a while, or every day; and the time zone in which that is meant.

use crate::{
    domain::{
        Millis,
        intent::{Actor, Tap},
        mute::{Mute, PER_CHAT, Window},
        notice::{Limit, Notice, Toast, Urgency, Usage},
    },
    store::{self, Tx, chats, mutes, servers},
    usecase::{command, tell::Teller},
    zone::Zone,
};

/// A chat's mutes at one moment.
pub struct Mutes {
    all: Vec<Mute>,
    now: Millis,
    /// Of the chat's day.
    minute: i64,
}

impl Mutes {
    pub async fn of_chat(tx: &mut Tx, chat_id: i64, now: Millis) -> store::Result<Self> {
        let all = mutes::of_chat(tx, chat_id, now).await?;
        // Most chats have none, and nobody need ask what time it is there.
        let minute = if all.is_empty() {
            0
        } else {
            let zone = chats::get(tx, chat_id).await?.and_then(|chat| chat.zone);
            Zone::of(zone.as_deref()).minute_of_day(now)
        };
        Ok(Self { all, now, minute })
    }

    pub fn cover(&self, server_id: &str) -> bool {
        self.all.iter().any(|mute| mute.covers(server_id, self.now, self.minute))
    }
}

/// `/mute [server] [2h | 22:00-06:00]`. Without anything, the buttons.
pub async fn ask(tx: &mut Tx, teller: &Teller<'_>, actor: &Actor, words: Option<&str>) -> store::Result<()> {
    let Some(words) = words else {
        return teller.send(tx, &Notice::Mutes, Urgency::Answer).await.map(drop);
    };
    // The last word says for how long; names have spaces.
    let (name, window) = words.rsplit_once(' ').map_or((None, words), |(name, window)| (Some(name.trim()), window));
    let Some(window) = Window::parse(window, teller.now) else {
        return teller.send(tx, &Notice::NotUnderstood { usage: Usage::Mute }, Urgency::Answer).await.map(drop);
    };
    let server_id = match name {
        None => None,
        Some(name) => {
            let Some(named) = servers::named(tx, teller.chat_id, name).await?.pop() else {
                let notice = Notice::NoSuchServer { name: name.to_owned() };
                return teller.send(tx, &notice, Urgency::Answer).await.map(drop);
            };
            Some(named)
        }
    };
    let begun = begin(tx, teller, actor, server_id, window).await?;
    let notice = if begun { Notice::Mutes } else { Notice::LimitReached { limit: Limit::Mutes } };
    teller.send(tx, &notice, Urgency::Answer).await.map(drop)
}

/// The buttons of `/mute`: this long from now.
pub async fn mute_for(
    tx: &mut Tx,
    teller: &Teller<'_>,
    actor: &Actor,
    tap: Option<&Tap>,
    server_id: Option<&str>,
    span: Millis,
) -> store::Result<()> {
    if let Some(id) = server_id
        && servers::get(tx, teller.chat_id, id).await?.is_none()
    {
        return command::stale(tx, teller, tap).await;
    }
    let begun = begin(tx, teller, actor, server_id.map(str::to_owned), Window::Until(teller.now + span)).await?;
    teller.show(tx, tap, &Notice::Mutes).await?;
    teller.toast(tx, tap, if begun { Toast::Muted } else { Toast::TooManyMutes }).await
}

async fn begin(
    tx: &mut Tx,
    teller: &Teller<'_>,
    actor: &Actor,
    server_id: Option<String>,
    window: Window,
) -> store::Result<bool> {
    if mutes::of_chat(tx, teller.chat_id, teller.now).await?.len() >= PER_CHAT {
        return Ok(false);
    }
    let mute = Mute { id: teller.clock.id(), server_id, window, created_by: actor.name.clone() };
    mutes::insert(tx, teller.chat_id, &mute).await?;
    Ok(true)
}

pub async fn end(tx: &mut Tx, teller: &Teller<'_>, tap: Option<&Tap>, id: &str) -> store::Result<()> {
    let toast = if mutes::remove(tx, teller.chat_id, id).await? { Toast::Unmuted } else { Toast::Stale };
    teller.show(tx, tap, &Notice::Mutes).await?;
    teller.toast(tx, tap, toast).await
}

/// `/timezone [Area/City]`.
pub async fn set_zone(tx: &mut Tx, teller: &Teller<'_>, name: Option<&str>) -> store::Result<()> {
    let notice = match name.map(Zone::parse) {
        Some(None) => Notice::NotUnderstood { usage: Usage::TimeZone },
        Some(Some(zone)) => {
            chats::set_zone(tx, teller.chat_id, Some(zone.name())).await?;
            Notice::TimeZone
        }
        None => Notice::TimeZone,
    };
    teller.send(tx, &notice, Urgency::Answer).await.map(drop)
}
