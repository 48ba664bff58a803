//! What can come back instead of an answer, and what it means.

use std::{error::Error as _, time::Duration};

use osm_protocol::messages::Problem;
use reqwest::StatusCode;

use crate::text::shorten;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No answer: network, DNS, TLS, time-out.
    #[error("{0}")]
    Network(String),
    /// 429 or 503.
    #[error("the backend is busy")]
    Busy { retry_after: Option<Duration> },
    /// 410: the server was removed.
    #[error("the backend no longer knows this server (it was removed); pair it again, or stop the agent")]
    Removed,
    /// Any other refusal.
    #[error("the backend refused: {} {}{}", .0.status, .0.title, if .0.detail.is_empty() { String::new() } else { format!(" ({})", .0.detail) })]
    Refused(Problem),
    /// Not what was agreed on: a proxy's page, a newer backend.
    #[error("the answer is not understood: {0}")]
    Answer(String),
}

impl ClientError {
    /// Says whether the body itself was refused: sending it again changes nothing.
    pub fn is_about_the_body(&self) -> bool {
        matches!(self, Self::Refused(problem) if matches!(problem.status, 400 | 413 | 422))
    }

    /// Says whether the backend does not know this command (any more), or will never take this outcome.
    pub fn is_about_the_command(&self) -> bool {
        matches!(self, Self::Refused(problem) if matches!(problem.status, 400 | 404 | 413 | 422))
    }

    /// Says whether the key was refused: nothing will be accepted until something changes on the other side.
    pub fn is_about_the_key(&self) -> bool {
        matches!(self, Self::Refused(problem) if matches!(problem.status, 401 | 403))
    }
}

/// Reads the problem in an error's body; a proxy's HTML page is none, and is not shown.
pub fn problem_of(status: StatusCode, body: &[u8]) -> Problem {
    let problem = serde_json::from_slice::<Problem>(body).unwrap_or_else(|_| Problem {
        kind: "about:blank".to_owned(),
        title: status.canonical_reason().unwrap_or("unknown status").to_owned(),
        status: status.as_u16(),
        detail: String::new(),
        now: None,
    });
    Problem { status: status.as_u16(), title: shorten(&problem.title, 300), detail: shorten(&problem.detail, 300), ..problem }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_a_proxy_is_a_problem_by_its_status_and_is_not_shown() {
        let problem = problem_of(StatusCode::BAD_GATEWAY, b"<html>nginx</html>");
        assert_eq!((problem.status, problem.title.as_str(), problem.detail.as_str()), (502, "Bad Gateway", ""));
        let lying = br#"{"type":"about:blank","title":"x","status":200,"detail":"a\u001b[2Jb"}"#;
        let problem = problem_of(StatusCode::BAD_REQUEST, lying);
        assert_eq!((problem.status, problem.detail.as_str()), (400, "a [2Jb"));
    }
}
