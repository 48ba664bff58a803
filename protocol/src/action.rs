//! The closed list of actions, and what came of one.

use serde::{Deserialize, Serialize};

use crate::ids::CommandId;

/// All that an agent can be asked to do. Amounts and paths live in the host's own configuration, never here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Restart one unit of the host's own list.
    RestartService { unit: String },
    /// Vacuum the journal's archived files.
    // Empty braces: serde lets unknown fields through in unit variants of internally tagged enums.
    CleanJournal {},
    /// Run logrotate with the distribution's configuration.
    RunLogrotate {},
    /// Schedule a reboot 60 s ahead.
    Reboot {},
    /// Cancel the reboot that the command `of` scheduled.
    CancelReboot { of: CommandId },
}

impl Action {
    /// Tells whether both count for one rate: the same thing, whatever reboot is called off.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        matches!((self, other), (Self::CancelReboot { .. }, Self::CancelReboot { .. })) || self == other
    }
}

/// What a host lets the chat ask for, besides restarts of the services it lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(poem_openapi::Enum), oai(rename_all = "kebab-case"))]
#[serde(rename_all = "kebab-case")]
pub enum Chore {
    CleanJournal,
    RunLogrotate,
    Reboot,
}

impl Chore {
    pub const ALL: [Self; 3] = [Self::CleanJournal, Self::RunLogrotate, Self::Reboot];

    pub fn action(self) -> Action {
        match self {
            Self::CleanJournal => Action::CleanJournal {},
            Self::RunLogrotate => Action::RunLogrotate {},
            Self::Reboot => Action::Reboot {},
        }
    }
}

/// How a command ended, as the agent knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(poem_openapi::Enum), oai(rename_all = "kebab-case"))]
#[serde(rename_all = "kebab-case")]
pub enum OutcomeKind {
    /// It was done, and the result was seen.
    Succeeded,
    /// It was tried and did not work.
    Failed,
    /// The host refused; `reason` says why.
    Rejected,
    /// The agent died between writing the command down and knowing its result. It is never run again.
    Indeterminate,
    /// A reboot that was called off before its minute was over.
    Cancelled,
}

/// Why a host refused a command that was truly the backend's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(poem_openapi::Enum), oai(rename_all = "kebab-case"))]
#[serde(rename_all = "kebab-case")]
pub enum Rejection {
    /// Outside `nbf`..`exp` by the host's clock, and that clock is known to be wrong.
    Clock,
    /// Received after `exp`.
    Expired,
    /// `agent.toml` on the host does not allow this action.
    Policy,
    /// The host's own limit on how often this may happen.
    Rate,
    /// The unit is not on the host's own list.
    UnitNotListed,
    /// This host cannot do it (no systemd, no D-Bus, polkit without rules).
    Unsupported,
    /// The action or the version of the payload is not known to this agent.
    Unknown,
}

/// Body of `POST /agent/v1/commands/{id}/outcome`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(poem_openapi::Object))]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    pub result: OutcomeKind,
    /// Only with `rejected`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "server", oai(skip_serializing_if_is_none))]
    pub reason: Option<Rejection>,
    /// What happened, for a person: the unit's state afterwards, or why it failed. At most 500 characters, no control characters.
    pub detail: String,
    /// When it ended, by the host's clock corrected to the backend's; milliseconds since the Unix epoch.
    pub at: i64,
}

impl Outcome {
    pub const DETAIL_MAX: usize = 500;
}
