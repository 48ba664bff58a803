//! Two kinds of error: a [`Refusal`] is what a caller can do something about, and he is told; anything else is ours, is
//! logged, and he learns only that it was not his fault.
//!
//! | where | type |
//! |---|---|
//! | `domain` | none, or an enum of its own |
//! | `store` | `sqlx::Error` |
//! | `usecase` | [`Error`] |
//! | `http` | [`Error`], turned into a problem document (RFC 9457) here |

use osm_protocol::messages::{Problem, problem};
use poem::{Response, error::ResponseError, http::StatusCode};

use crate::domain::Millis;

pub type Result<T> = std::result::Result<T, Error>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("{0}")]
    Internal(String),
}

/// What a caller can do something about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Malformed(String),
    #[error("{0}")]
    Invalid(String),
    #[error("{0}")]
    Signature(String),
    #[error("the time in the signature is {skew_s} s from the time here")]
    ClockSkew { skew_s: i64, now: Millis },
    /// Wrong, used and expired tokens get this one answer.
    #[error("this pairing token is wrong, used or expired: ask the bot for a new one with /add_server")]
    Token,
    #[error("this server was removed; pair it again with a token from /add_server")]
    Removed,
    #[error("no such command for this server")]
    NoSuchCommand,
    #[error("no such file")]
    NoSuchFile,
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("too many requests")]
    TooMany { retry_after_s: u64 },
    #[error("the backend is busy")]
    Busy { retry_after_s: u64 },
    #[error("wrong or missing secret")]
    Forbidden,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Signature(_) | Self::ClockSkew { .. } => StatusCode::UNAUTHORIZED,
            Self::Token | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Removed => StatusCode::GONE,
            Self::NoSuchCommand | Self::NoSuchFile => StatusCode::NOT_FOUND,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Signature(_) => problem::SIGNATURE,
            Self::ClockSkew { .. } => problem::CLOCK_SKEW,
            Self::Token => problem::TOKEN,
            Self::Removed => problem::REMOVED,
            Self::Invalid(_) | Self::Malformed(_) => problem::INVALID,
            _ => "about:blank",
        }
    }

    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::TooMany { retry_after_s } | Self::Busy { retry_after_s } => Some(*retry_after_s),
            _ => None,
        }
    }
}

impl Error {
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }

    /// The problem document, its status, and when to try again.
    pub fn problem(&self) -> (StatusCode, Problem, Option<u64>) {
        let (status, kind, detail, now, retry) = match self {
            Self::Refused(refusal) => {
                let now = if let Refusal::ClockSkew { now, .. } = refusal { Some(*now) } else { None };
                (refusal.status(), refusal.kind(), refusal.to_string(), now, refusal.retry_after_s())
            }
            // A database that is away is a passing state: the agent keeps its report and comes again.
            Self::Database(error) => {
                tracing::error!(%error, "database");
                (StatusCode::SERVICE_UNAVAILABLE, "about:blank", "the database does not answer".to_owned(), None, Some(10))
            }
            Self::Internal(error) => {
                tracing::error!(%error, "internal");
                (
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "about:blank",
                    "a fault of the backend; its log says more".to_owned(),
                    None,
                    None,
                )
            }
        };
        let title = status.canonical_reason().unwrap_or_default().to_owned();
        (status, Problem { kind: kind.to_owned(), title, status: status.as_u16(), detail, now }, retry)
    }
}

impl ResponseError for Error {
    fn status(&self) -> StatusCode {
        self.problem().0
    }

    fn as_response(&self) -> Response {
        let (_, problem, retry_after) = self.problem();
        document(&problem, retry_after)
    }
}

/// Any error of a request as a problem document: also those of poem itself, for a path or a parameter that is not ours.
pub async fn respond(error: poem::Error) -> Response {
    if error.is::<Error>() {
        return error.into_response();
    }
    let status = error.status();
    let title = status.canonical_reason().unwrap_or_default().to_owned();
    let problem =
        Problem { kind: "about:blank".to_owned(), title, status: status.as_u16(), detail: error.to_string(), now: None };
    document(&problem, None)
}

/// A panic of a handler: its text is in the log.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Error::internal("a handler panicked").as_response()
}

fn document(problem: &Problem, retry_after_s: Option<u64>) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .content_type("application/problem+json")
        .body(serde_json::to_vec(problem).unwrap_or_default());
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert("Retry-After", seconds.into());
    }
    response
}
