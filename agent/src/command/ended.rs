//! How something that was asked for has ended.

use osm_protocol::action::{OutcomeKind, Rejection};

use crate::host::systemd::{ActError, Unavailable};

/// An outcome before it has a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub result: OutcomeKind,
    pub reason: Option<Rejection>,
    pub detail: String,
}

/// Why something is not even tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Rejection,
    pub detail: String,
}

impl Ended {
    pub fn new(result: OutcomeKind, detail: impl Into<String>) -> Self {
        Self { result, reason: None, detail: detail.into() }
    }

    pub fn succeeded(detail: impl Into<String>) -> Self {
        Self::new(OutcomeKind::Succeeded, detail)
    }

    pub fn failed(detail: impl Into<String>) -> Self {
        Self::new(OutcomeKind::Failed, detail)
    }
}

impl Refusal {
    pub fn new(reason: Rejection, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<Refusal> for Ended {
    fn from(Refusal { reason, detail }: Refusal) -> Self {
        Self { result: OutcomeKind::Rejected, reason: Some(reason), detail }
    }
}

impl From<ActError> for Ended {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Refused(why) => Self::failed(why),
            ActError::Lost(_) => Self::new(OutcomeKind::Indeterminate, error.to_string()),
            ActError::Denied => {
                Refusal::new(Rejection::Unsupported, format!("{error}; on the server, as root: osm-agent policy apply")).into()
            }
            ActError::Unavailable(unavailable) => unavailable.into(),
        }
    }
}

impl From<Unavailable> for Ended {
    fn from(error: Unavailable) -> Self {
        Refusal::new(Rejection::Unsupported, error.to_string()).into()
    }
}
