//! What the Bot API answers, sorted by what to do about it. `"ok": true` is a success, whatever the rest is; a refusal is
//! sorted by its code and by what it carries along, and by its words only where they change how it is tried again, never
//! whether.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::domain::ids::ChatId;

/// Why Telegram did not do it, by what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The message shows this already: as good as done.
    #[error("the message shows this already")]
    NotModified,
    /// The message to edit is gone, or too old: send it anew.
    #[error("the message is gone")]
    MessageGone,
    /// The topic that it was for is gone or closed: a group's General may take it. General itself may be closed.
    #[error("{0}")]
    TopicGone(String),
    /// The tap is too old to be answered: nobody waits any more.
    #[error("the tap is too old")]
    QueryTooOld,
    /// Not so fast: seconds to wait.
    #[error("it asks to wait {0} s")]
    TooMany(u32),
    /// The group is a supergroup now.
    #[error("the group has the id {0} now")]
    Migrated(ChatId),
    /// 400 or 403: it does not take this, here, now. Whether it is about the chat or about what is said, for a moment or for
    /// good, nothing tells for sure.
    #[error("{0}")]
    Refused(String),
    /// The token is not (or no longer) a bot's.
    #[error("it does not know this bot")]
    BadToken,
    /// Another poller, or a webhook, has the updates.
    #[error("another poller or a webhook has the updates")]
    Conflict,
    /// What is to be sent cannot be read here, and never will be.
    #[error("{0}")]
    Unreadable(String),
    /// Network or server trouble: try again.
    #[error("{0}")]
    Transient(String),
}

impl Fault {
    /// Tells whether Telegram said that it did not do it. Otherwise it may have been done, and only the answer is lost.
    pub fn is_certain(&self) -> bool {
        !matches!(self, Self::Transient(_))
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    ok: bool,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error_code: Option<u16>,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
#[serde(from = "Lenient")]
struct Parameters {
    retry_after: Option<u32>,
    migrate_to_chat_id: Option<ChatId>,
}

/// Each field as it is known, or whatever else.
#[derive(Deserialize)]
#[serde(untagged)]
enum Lenient {
    Wait { retry_after: u32 },
    Moved { migrate_to_chat_id: ChatId },
    Other(IgnoredAny),
}

impl From<Lenient> for Parameters {
    fn from(lenient: Lenient) -> Self {
        match lenient {
            Lenient::Wait { retry_after } => Self { retry_after: Some(retry_after), migrate_to_chat_id: None },
            Lenient::Moved { migrate_to_chat_id } => Self { retry_after: None, migrate_to_chat_id: Some(migrate_to_chat_id) },
            Lenient::Other(_) => Self::default(),
        }
    }
}

/// Gives the result of a call as it came, or why there is none.
pub fn sort(status: u16, body: &[u8]) -> Result<Option<Box<RawValue>>, Fault> {
    match serde_json::from_slice::<Answer<'_>>(body) {
        Ok(Answer { ok: true, result }) => Ok(result.map(ToOwned::to_owned)),
        Ok(Answer { ok: false, .. }) => {
            let refusal = serde_json::from_slice(body);
            Err(fault(
                status,
                refusal.unwrap_or(Refusal { error_code: None, description: None, parameters: Parameters::default() }),
            ))
        }
        // A proxy's page, or half an answer: nobody knows what became of the call.
        Err(_) => Err(Fault::Transient(format!("HTTP {status}, and no answer of the Bot API"))),
    }
}

/// Where a 429 does not say for how long.
const WAIT: u32 = 5;

fn fault(status: u16, refusal: Refusal) -> Fault {
    let Refusal { error_code, description, parameters } = refusal;
    let said: String = description.unwrap_or_default().chars().take(300).collect();
    if let Some(to) = parameters.migrate_to_chat_id {
        return Fault::Migrated(to);
    }
    match error_code.unwrap_or(status) {
        429 => Fault::TooMany(parameters.retry_after.unwrap_or(WAIT)),
        _ if parameters.retry_after.is_some() => Fault::TooMany(parameters.retry_after.unwrap_or(WAIT)),
        401 | 404 => Fault::BadToken,
        409 => Fault::Conflict,
        400 => refused(said),
        403 => Fault::Refused(said),
        _ => Fault::Transient(said),
    }
}

/// A 400 by its words, in either of the forms in which Telegram's own servers and the Bot API's put them.
fn refused(said: String) -> Fault {
    let words = said.to_lowercase();
    let says = |some: &[&str]| some.iter().any(|some| words.contains(some));
    if says(&["message is not modified", "message_not_modified"]) {
        Fault::NotModified
    } else if says(&["message to edit not found", "message can't be edited", "message_id_invalid", "message_edit_time_expired"]) {
        Fault::MessageGone
    } else if says(&["query is too old", "query_id_invalid"]) {
        Fault::QueryTooOld
    } else if says(&["message thread not found", "topic_closed", "topic_deleted", "topic_id_invalid"]) {
        Fault::TopicGone(said)
    } else {
        Fault::Refused(said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault_of(status: u16, body: &str) -> Fault {
        sort(status, body.as_bytes()).expect_err("a fault")
    }

    #[test]
    fn ok_is_a_success_whatever_the_rest_is() {
        for body in [r#"{"ok":true,"result":{"message_id":7}}"#, r#"{"ok":true}"#, r#"{"new":[],"ok":true,"result":null}"#] {
            assert!(sort(200, body.as_bytes()).is_ok(), "{body}");
        }
        let result = sort(200, br#"{"ok":true,"result":["\ud800"]}"#).expect("a success").expect("a result");
        assert_eq!(result.get(), r#"["\ud800"]"#);
    }

    #[test]
    fn refusals_are_sorted_by_code_and_what_they_carry() {
        let refused = |said: &str| Fault::Refused(said.to_owned());
        for (code, said, fault) in [
            (400, "Bad Request: CHAT_RESTRICTED", refused("Bad Request: CHAT_RESTRICTED")),
            (400, "Bad Request: chat not found", refused("Bad Request: chat not found")),
            (403, "Forbidden: something new", refused("Forbidden: something new")),
            (400, "Bad Request: TOPIC_CLOSED", Fault::TopicGone("Bad Request: TOPIC_CLOSED".to_owned())),
            (400, "Bad Request: message is not modified: …", Fault::NotModified),
            (400, "Bad Request: message to edit not found", Fault::MessageGone),
            (401, "Unauthorized", Fault::BadToken),
            (404, "Not Found", Fault::BadToken),
            (409, "Conflict: terminated", Fault::Conflict),
            (429, "Too Many Requests", Fault::TooMany(WAIT)),
            (500, "Internal Server Error", Fault::Transient("Internal Server Error".to_owned())),
        ] {
            let body = serde_json::json!({ "ok": false, "error_code": code, "description": said }).to_string();
            assert_eq!(fault_of(code, &body), fault, "{body}");
        }
        let parameters =
            |parameters: &str| fault_of(400, &format!(r#"{{"ok":false,"error_code":400,"parameters":{parameters}}}"#));
        assert_eq!(parameters(r#"{"migrate_to_chat_id":-100}"#), Fault::Migrated(ChatId(-100)));
        assert_eq!(parameters(r#"{"retry_after":17,"new":1}"#), Fault::TooMany(17));
        assert_eq!(parameters(r#"{"new":1}"#), refused(""));
    }

    #[test]
    fn what_is_no_answer_of_the_bot_api_may_have_been_done() {
        for (status, body) in
            [(502, "<html>"), (200, ""), (400, "{}"), (200, r#"{"ok":1}"#), (200, "{\"ok\":true"), (403, "null")]
        {
            assert!(!fault_of(status, body).is_certain(), "{status} {body}");
        }
    }
}
