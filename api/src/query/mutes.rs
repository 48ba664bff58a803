//! Whether a chat is to hear of a server at this moment.

use crate::{
    domain::{
        Millis,
        ids::{ChatId, ServerId},
        mute::Mute,
    },
    store::{self, Tx, chats, mutes},
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
    /// Loads them, and what time it is where the chat's people live.
    pub async fn of_chat(tx: &mut Tx, chat_id: ChatId, now: Millis) -> store::Result<Self> {
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

    /// Tells whether any of them covers this server.
    pub fn cover(&self, server_id: ServerId) -> bool {
        self.all.iter().any(|mute| mute.covers(server_id, self.now, self.minute))
    }
}
