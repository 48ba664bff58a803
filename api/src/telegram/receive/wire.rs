//! What Telegram sends, read for what is needed of it: who, where, what was written or tapped. Types of our own, and as few
//! fields as possible: whatever else stands in an update, of whatever kind, changes nothing.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::domain::ids::TopicId;

/// An update of a kind that was asked for.
#[derive(Debug)]
pub enum Update {
    Message(Box<Message>),
    Tap(Box<Tap>),
    Membership(Box<Membership>),
}

#[derive(Debug, Deserialize)]
pub struct Message {
    pub chat: Chat,
    /// Who wrote it. Somebody who cannot be read is not nobody: such a message is not read at all.
    pub from: Option<User>,
    pub sender_chat: Option<Chat>,
    #[serde(default, deserialize_with = "lenient")]
    pub text: Option<String>,
    #[serde(default, rename = "message_thread_id", deserialize_with = "lenient")]
    pub thread: Option<TopicId>,
    /// Replies have threads, too, and those are no topics.
    #[serde(default, rename = "is_topic_message", deserialize_with = "lenient")]
    pub is_in_topic: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub migrate_to_chat_id: Option<i64>,
    /// Who wrote it first, in whatever form: what is forwarded is no command. Older servers say when it was written.
    pub forward_origin: Option<IgnoredAny>,
    pub forward_date: Option<IgnoredAny>,
    pub via_bot: Option<IgnoredAny>,
    pub sender_business_bot: Option<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub struct Tap {
    pub id: String,
    pub from: User,
    #[serde(default, deserialize_with = "lenient")]
    pub message: Option<Under>,
    #[serde(default, deserialize_with = "lenient")]
    pub data: Option<String>,
}

/// The message under which a button stands; of one that is too old Telegram says no more than this.
#[derive(Debug, Deserialize)]
pub struct Under {
    pub chat: Chat,
    pub message_id: i32,
    #[serde(default, rename = "message_thread_id", deserialize_with = "lenient")]
    pub thread: Option<TopicId>,
    #[serde(default, rename = "is_topic_message", deserialize_with = "lenient")]
    pub is_in_topic: Option<bool>,
}

/// What became of the bot in a chat.
#[derive(Debug, Deserialize)]
pub struct Membership {
    pub chat: Chat,
    pub from: User,
    pub new_chat_member: Member,
}

#[derive(Debug, Deserialize)]
pub struct Member {
    pub status: String,
    /// Of a restricted one.
    #[serde(default, rename = "is_member", deserialize_with = "lenient")]
    pub belongs: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub can_send_messages: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub struct Chat {
    pub id: i64,
    #[serde(default, rename = "type", deserialize_with = "lenient")]
    pub kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub title: Option<String>,
}

impl Chat {
    pub fn is_channel(&self) -> bool {
        self.kind.as_deref() == Some("channel")
    }
}

#[derive(Debug, Deserialize)]
pub struct User {
    pub id: i64,
    #[serde(default, deserialize_with = "lenient")]
    pub is_bot: Option<bool>,
    #[serde(default, deserialize_with = "lenient")]
    pub first_name: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub username: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    pub language_code: Option<String>,
}

/// Reads what has the form that is known; anything else is not there.
fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either<T> {
        Known(T),
        Other(IgnoredAny),
    }
    Ok(match Option::<Either<T>>::deserialize(deserializer)? {
        Some(Either::Known(known)) => Some(known),
        Some(Either::Other(_)) | None => None,
    })
}
