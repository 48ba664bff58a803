//! The states of a command, and the transitions between them.

use osm_protocol::action::{Action, OutcomeKind, Rejection};
use serde::{Deserialize, Serialize};

use crate::domain::{MINUTE, Millis};

/// How long an agent may take up a command, by action.
pub fn validity(action: &Action) -> Millis {
    match action {
        Action::Reboot {} => MINUTE,
        _ => 2 * MINUTE,
    }
}

/// How long after its expiry a command that was handed out may still be answered before the chat is told that it was not.
pub const ANSWER_GRACE: Millis = 2 * MINUTE;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Signed and waiting for the agent.
    Queued,
    /// Handed to the agent.
    Delivered,
    Succeeded,
    Failed,
    Rejected,
    Indeterminate,
    /// Handed out, and no outcome came. An outcome that comes later overrides it.
    Unanswered,
    /// Never handed out in time.
    Expired,
    /// Never handed out, and taken back.
    Cancelled,
}

impl State {
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Delivered,
        Self::Succeeded,
        Self::Failed,
        Self::Rejected,
        Self::Indeterminate,
        Self::Unanswered,
        Self::Expired,
        Self::Cancelled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Indeterminate => "indeterminate",
            Self::Unanswered => "unanswered",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The state after an outcome from the agent; `None` where an outcome changes nothing (it was reported before).
    ///
    /// An outcome overrides whatever the backend had assumed: the agent saw what happened.
    pub fn with_outcome(self, outcome: OutcomeKind) -> Option<Self> {
        match self {
            Self::Succeeded | Self::Failed | Self::Rejected | Self::Indeterminate => None,
            Self::Queued | Self::Delivered | Self::Unanswered | Self::Expired | Self::Cancelled => Some(match outcome {
                OutcomeKind::Succeeded => Self::Succeeded,
                OutcomeKind::Failed => Self::Failed,
                OutcomeKind::Rejected => Self::Rejected,
                OutcomeKind::Indeterminate => Self::Indeterminate,
            }),
        }
    }

    /// The state at `now` of a command that expires at `exp`, when time alone changes it.
    pub fn with_time(self, exp: Millis, now: Millis) -> Option<Self> {
        match self {
            Self::Queued if now > exp => Some(Self::Expired),
            Self::Delivered if now > exp + ANSWER_GRACE => Some(Self::Unanswered),
            _ => None,
        }
    }
}

/// A command as its chat sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub id: String,
    pub server_id: String,
    pub server_name: String,
    pub action: Action,
    pub state: State,
    pub requested_by: String,
    pub reason: Option<Rejection>,
    /// What the agent said of it: hostile text.
    pub detail: String,
    pub created_at: Millis,
    pub finished_at: Option<Millis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive_their_names() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        assert_eq!(State::parse("done"), None);
    }

    #[test]
    fn an_outcome_overrides_assumptions_but_no_outcome() {
        for assumed in [State::Queued, State::Delivered, State::Unanswered, State::Expired, State::Cancelled] {
            assert_eq!(assumed.with_outcome(OutcomeKind::Succeeded), Some(State::Succeeded));
        }
        for known in [State::Succeeded, State::Failed, State::Rejected, State::Indeterminate] {
            assert_eq!(known.with_outcome(OutcomeKind::Failed), None);
        }
    }

    #[test]
    fn only_what_was_never_handed_out_expires() {
        assert_eq!(State::Queued.with_time(100, 100), None);
        assert_eq!(State::Queued.with_time(100, 101), Some(State::Expired));
        assert_eq!(State::Delivered.with_time(100, 100 + ANSWER_GRACE), None);
        assert_eq!(State::Delivered.with_time(100, 101 + ANSWER_GRACE), Some(State::Unanswered));
        assert_eq!(State::Succeeded.with_time(100, i64::MAX), None);
    }
}
