//! What can come back instead of an answer, and what it means.

use std::{error::Error as _, time::Duration};

use osm_protocol::messages::{Problem, problem};

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer: network, DNS, TLS, time-out.
    #[error("{0}")]
    Network(String),
    /// An answer that is not the backend's; what it looks like.
    #[error("something in between answers in the backend's place ({0}): look at the proxy or firewall on the way")]
    Between(String),
    /// 429 or 503.
    #[error("the backend is busy")]
    Busy { retry_after: Option<Duration> },
    /// Any other refusal, which is the backend's own.
    #[error("the backend refused: {} {}{}", .0.status, .0.title, if .0.detail.is_empty() { String::new() } else { format!(" ({})", .0.detail) })]
    Refused(Box<Problem>),
}

impl ClientError {
    /// Gives the backend's own refusal.
    pub fn refusal(&self) -> Option<&Problem> {
        if let Self::Refused(problem) = self { Some(problem) } else { None }
    }

    /// Says whether the body itself was refused: sending the same again changes nothing.
    pub fn is_about_the_body(&self) -> bool {
        self.is_of(&[problem::MALFORMED, problem::TOO_LARGE, problem::INVALID])
    }

    /// Says whether the key was refused: nothing will be accepted until something changes on the other side.
    pub fn is_about_the_key(&self) -> bool {
        self.is_of(&[problem::SIGNATURE])
    }

    /// Gives what stays the same while the same trouble lasts, whatever time or counter its words hold.
    pub fn likeness(&self) -> String {
        match self {
            Self::Network(text) => text.chars().filter(|c| !c.is_ascii_digit()).collect(),
            Self::Between(look) => look.clone(),
            Self::Busy { .. } => "busy".to_owned(),
            Self::Refused(problem) => problem.kind.clone(),
        }
    }

    fn is_of(&self, kinds: &[&str]) -> bool {
        self.refusal().is_some_and(|problem| kinds.contains(&problem.kind.as_str()))
    }
}

/// Puts the whole chain of an error in one line, with the fix where there is one.
pub fn explain(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    for (sign, fix) in [
        ("UnknownIssuer", "the backend's certificate is of a CA this machine does not know: set ca_file in agent.toml"),
        ("CaUsedAsEndEntity", "the backend shows the certificate of a CA itself: it needs one of its own, signed by that CA"),
        (
            "not valid for name",
            "the backend's certificate is for another name: give its name to pair --api, or let the backend have one for this name",
        ),
        ("certificate expired", "the backend's certificate has expired, or this machine's clock is wrong"),
        ("not valid yet", "this machine's clock is behind, or the certificate is of the future"),
        ("No CA certificates", "install the package ca-certificates"),
        ("dns error", "the backend's name cannot be resolved: check the address and DNS"),
        ("refused", "nothing listens there: check the address and that the backend runs"),
    ] {
        if text.contains(sign) {
            return format!("{text} ({fix})");
        }
    }
    text
}
