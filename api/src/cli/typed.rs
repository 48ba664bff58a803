//! What the operator types, read; and the refusal of it.

use crate::domain::ids::{ChatId, UserId};

/// The operator asked for what is not done; the message says why, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

pub fn refused<T>(why: impl Into<String>) -> anyhow::Result<T> {
    Err(Refused(why.into()).into())
}

/// Reads the number of a person at Telegram.
pub fn person(text: &str) -> Result<UserId, String> {
    let id = text.parse().ok().filter(|id| *id > 0).map(UserId);
    id.ok_or_else(|| "a person's number at Telegram, such as 110201543; the bot tells it to whoever may not use it".to_owned())
}

/// Reads the number of a chat at Telegram.
pub fn chat(text: &str) -> Result<ChatId, String> {
    let id = text.parse().ok().filter(|id| *id != 0).map(ChatId);
    id.ok_or_else(|| "a chat's number at Telegram, such as -1001234567890; `osm-api chats list` has them".to_owned())
}
