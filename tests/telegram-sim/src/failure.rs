//! Failures the stand-in was told to show: what a caller of the Bot API sees on a bad day.
//!
//! Not here: lasting states of a chat (blocked, kicked, migrated), which are methods of [`Sim`](crate::Sim).

use crate::api::Params;

/// How one call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// 429 with `retry_after`; nothing is done.
    TooManyRequests { retry_after: u32 },
    /// 500 with Telegram's JSON; nothing is done. (teloxide's client waits 10 s before it reports a 5xx.)
    ServerError,
    /// 502 with an HTML body, as Telegram's front end answers; nothing is done.
    BadGateway,
    /// Never accepted, and no answer until [`Options::hang`](crate::Options::hang) has passed.
    TimeoutBefore,
    /// Accepted and done, but no answer until [`Options::hang`](crate::Options::hang) has passed.
    TimeoutAfter,
    /// Never accepted; the connection is closed at once.
    DropBefore,
    /// Accepted and done; the connection is closed without an answer.
    DropAfter,
    /// Refused with this code and these words; nothing is done.
    Refused { code: u16, description: &'static str },
    /// Accepted and done; the answer is this JSON, in which only `ok` has to be as anybody knows it.
    AnsweredWith(&'static str),
}

impl FailureKind {
    /// Whether the call takes effect all the same.
    pub(crate) fn accepts(self) -> bool {
        matches!(self, Self::TimeoutAfter | Self::DropAfter | Self::AnsweredWith(_))
    }
}

/// A failure for the next call, or the next few, of one method or of any.
///
/// ```
/// use osm_telegram_sim::{Failure, FailureKind};
/// let failure = Failure::new(FailureKind::DropAfter).on("sendMessage").times(2);
/// ```
#[derive(Debug, Clone)]
pub struct Failure {
    kind: FailureKind,
    method: Option<String>,
    chat: Option<i64>,
    /// Parameters, and what stands in each.
    parameters: Vec<(&'static str, &'static str)>,
    left: u32,
}

impl Failure {
    /// The next call, whatever it is, goes wrong like this.
    #[must_use]
    pub fn new(kind: FailureKind) -> Self {
        Self { kind, method: None, chat: None, parameters: vec![], left: 1 }
    }

    /// Only calls of this method.
    #[must_use]
    pub fn on(mut self, method: &str) -> Self {
        self.method = Some(method.to_ascii_lowercase());
        self
    }

    /// Only calls about this chat.
    #[must_use]
    pub fn in_chat(mut self, chat: impl Into<i64>) -> Self {
        self.chat = Some(chat.into());
        self
    }

    /// Only calls with this parameter, in which this stands.
    #[must_use]
    pub fn with(mut self, parameter: &'static str, part: &'static str) -> Self {
        self.parameters.push((parameter, part));
        self
    }

    /// This many calls instead of one; `u32::MAX` for all until [`Sim::heal`](crate::Sim::heal).
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.left = times;
        self
    }

    /// Uses one shot if the call is meant.
    pub(crate) fn strikes(&mut self, method: &str, params: &Params) -> Option<FailureKind> {
        let meant = self.left > 0
            && self.method.as_deref().is_none_or(|name| name.eq_ignore_ascii_case(method))
            && self.chat.is_none_or(|id| Some(id) == params.chat_for_log())
            && self.parameters.iter().all(|(name, part)| params.text(name).is_some_and(|text| text.contains(part)));
        if !meant {
            return None;
        }
        if self.left != u32::MAX {
            self.left -= 1;
        }
        Some(self.kind)
    }
}
