//! Every id of the backend, each a type of its own.
//!
//! UUIDs are the backend's: made by [`crate::clock`], version 7, so that they sort by the time at which they were made.
//! Numbers and opaque texts are Telegram's.

pub use osm_protocol::ids::{CommandId, ServerId};

osm_protocol::id! {
    /// Names a message of ours in a chat, before and after Telegram has given it a number.
    MessageId(uuid);
}
osm_protocol::id! {
    /// Names a row of the outbox.
    OutboxId(uuid);
}
osm_protocol::id! {
    /// Names an alert, from firing to its end.
    IncidentId(uuid);
}
osm_protocol::id! {
    /// Names a question that waits for a second tap.
    ConfirmationId(uuid);
}
osm_protocol::id! {
    /// Names a pairing token.
    PairingId(uuid);
}
osm_protocol::id! {
    /// Names a mute.
    MuteId(uuid);
}
osm_protocol::id! {
    /// Names a running process among the instances of the backend.
    InstanceId(uuid);
}
osm_protocol::id! {
    /// Names a chat at Telegram: a person's private chat by a positive number, a group by a negative one.
    ChatId(i64);
}
osm_protocol::id! {
    /// Names a chat in events: given by the backend, and not changed when a group becomes a supergroup.
    InnerChatId(uuid);
}
osm_protocol::id! {
    /// Names an event before it has a number.
    EventId(uuid);
}
osm_protocol::id! {
    /// Gives an event its place among all that are committed: what readers go by.
    EventNumber(i64);
}
osm_protocol::id! {
    /// Names a person at Telegram.
    UserId(i64);
}
osm_protocol::id! {
    /// Names an update of the Bot API (`update_id`): what comes twice has the same one.
    UpdateId(i64);
}
osm_protocol::id! {
    /// Names a topic of a forum group (`message_thread_id`).
    TopicId(i64);
}
osm_protocol::id! {
    /// Names a message at Telegram, within its chat.
    TelegramMessageId(i32);
}

osm_protocol::id! {
    /// Names a tap at Telegram, which is answered by it.
    CallbackId(text);
}

impl ChatId {
    /// Gives the person whose private chat this is; none of a group.
    pub fn person(self) -> Option<UserId> {
        (self.0 > 0).then_some(UserId(self.0))
    }
}

impl UserId {
    /// Gives the person's private chat with the bot, which Telegram names by the person's own number.
    pub fn private_chat(self) -> ChatId {
        ChatId(self.0)
    }
}
