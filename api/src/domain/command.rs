//! The states of a command, and the transitions between them.

use osm_protocol::action::{Action, OutcomeKind, Rejection};
use serde::{Deserialize, Serialize};

use crate::domain::{
    MINUTE, Millis,
    ids::{CommandId, ServerId},
};

/// How long an agent may take up a command, by action.
pub fn validity(action: &Action) -> Millis {
    match action {
        Action::Reboot {} => MINUTE,
        Action::RestartService { .. } | Action::CleanJournal {} | Action::RunLogrotate {} | Action::CancelReboot { .. } => {
            2 * MINUTE
        }
    }
}

/// Until when a command that was handed out, and expires at `exp`, may be answered before the chat is told that it was not.
pub fn answer_by(action: &Action, exp: Millis) -> Millis {
    let grace = match action {
        // The agent answers when the server is back, or 10 minutes after the reboot was due.
        Action::Reboot {} => 15 * MINUTE,
        Action::RestartService { .. } | Action::CleanJournal {} | Action::RunLogrotate {} | Action::CancelReboot { .. } => {
            2 * MINUTE
        }
    };
    exp + grace
}

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
    /// A reboot that was taken back before it was handed out, or called off on the host.
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

    /// Tells whether it is on its way or was done: asking for the same again would change nothing.
    pub fn is_under_way_or_done(self) -> bool {
        matches!(self, Self::Queued | Self::Delivered | Self::Succeeded)
    }

    /// Tells whether the host may have acted on it.
    pub fn may_have_acted(self) -> bool {
        matches!(self, Self::Delivered | Self::Succeeded | Self::Unanswered)
    }

    /// The state after an outcome from the agent; `None` where an outcome changes nothing (it was reported before).
    ///
    /// An outcome overrides whatever the backend had assumed: the agent saw what happened.
    pub fn with_outcome(self, outcome: OutcomeKind) -> Option<Self> {
        match self {
            // Cancelled is no assumption: the host said so, or no agent ever had it.
            Self::Succeeded | Self::Failed | Self::Rejected | Self::Indeterminate | Self::Cancelled => None,
            Self::Queued | Self::Delivered | Self::Unanswered | Self::Expired => Some(match outcome {
                OutcomeKind::Succeeded => Self::Succeeded,
                OutcomeKind::Failed => Self::Failed,
                OutcomeKind::Rejected => Self::Rejected,
                OutcomeKind::Indeterminate => Self::Indeterminate,
                OutcomeKind::Cancelled => Self::Cancelled,
            }),
        }
    }

    /// The state at `now` of a command that expires at `exp`, when time alone changes it; `answer_by` is [`answer_by`]'s.
    pub fn with_time(self, exp: Millis, answer_by: Millis, now: Millis) -> Option<Self> {
        match self {
            Self::Queued if now > exp => Some(Self::Expired),
            Self::Delivered if now > answer_by => Some(Self::Unanswered),
            Self::Queued
            | Self::Delivered
            | Self::Succeeded
            | Self::Failed
            | Self::Rejected
            | Self::Indeterminate
            | Self::Unanswered
            | Self::Expired
            | Self::Cancelled => None,
        }
    }
}

/// A command as its chat sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    pub id: CommandId,
    pub server_id: ServerId,
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
        for assumed in [State::Queued, State::Delivered, State::Unanswered, State::Expired] {
            assert_eq!(assumed.with_outcome(OutcomeKind::Succeeded), Some(State::Succeeded));
        }
        for known in [State::Succeeded, State::Failed, State::Rejected, State::Indeterminate, State::Cancelled] {
            assert_eq!(known.with_outcome(OutcomeKind::Failed), None);
        }
        assert_eq!(State::Delivered.with_outcome(OutcomeKind::Cancelled), Some(State::Cancelled));
    }

    #[test]
    fn only_what_was_never_handed_out_expires() {
        assert_eq!(State::Queued.with_time(100, 200, 100), None);
        assert_eq!(State::Queued.with_time(100, 200, 101), Some(State::Expired));
        assert_eq!(State::Delivered.with_time(100, 200, 200), None);
        assert_eq!(State::Delivered.with_time(100, 200, 201), Some(State::Unanswered));
        assert_eq!(State::Succeeded.with_time(100, 200, i64::MAX), None);
    }

    #[test]
    fn a_reboot_is_waited_for_until_the_agent_must_have_answered() {
        // Taken up at its expiry, due a minute later, answered at the latest 10 minutes after that.
        assert!(answer_by(&Action::Reboot {}, 0) > 11 * MINUTE);
        assert_eq!(answer_by(&Action::CleanJournal {}, 0), 2 * MINUTE);
        assert_eq!(
            answer_by(&Action::CancelReboot { of: "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap() }, 0),
            2 * MINUTE
        );
    }
}
