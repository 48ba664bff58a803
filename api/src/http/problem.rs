//! Errors as problem documents (RFC 9457): the one table of statuses, types and words that answers and the OpenAPI document
//! share.

use std::collections::BTreeMap;

use osm_protocol::{
    messages::{Problem, problem},
    request_signature::Received,
};
use poem::{
    Endpoint, EndpointExt as _, IntoResponse, Response,
    error::ResponseError,
    http::{HeaderValue, StatusCode, header::CONNECTION},
};

use crate::error::{Error, Refusal};

pub const MEDIA_TYPE: &str = "application/problem+json";
/// What has no type of its own (RFC 9457, section 4.2.1).
const BLANK: &str = "about:blank";
/// When to come again while the database is away, seconds.
const DATABASE_RETRY_S: u64 = 10;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Malformed,
    Signature,
    ClockSkew,
    Token,
    Forbidden,
    NotFound,
    TooSlow,
    Removed,
    TooLarge,
    Invalid,
    TooMany,
    Internal,
    Busy,
}

impl Kind {
    const ALL: [Self; 13] = [
        Self::Malformed,
        Self::Signature,
        Self::ClockSkew,
        Self::Token,
        Self::Forbidden,
        Self::NotFound,
        Self::TooSlow,
        Self::Removed,
        Self::TooLarge,
        Self::Invalid,
        Self::TooMany,
        Self::Internal,
        Self::Busy,
    ];

    fn of(error: &Error) -> Self {
        let refusal = match error {
            Error::Refused(refusal) => refusal,
            // A database that is away is a passing state: the agent keeps its report and comes again.
            Error::Database(_) => return Self::Busy,
            Error::Internal(_) => return Self::Internal,
        };
        match refusal {
            Refusal::Malformed(_) => Self::Malformed,
            Refusal::Invalid(_) => Self::Invalid,
            Refusal::Signature(_) | Refusal::UnknownKey => Self::Signature,
            Refusal::ClockSkew { .. } => Self::ClockSkew,
            Refusal::Token => Self::Token,
            Refusal::Forbidden => Self::Forbidden,
            Refusal::Removed(_) => Self::Removed,
            Refusal::NoSuchCommand | Refusal::NoSuchFile => Self::NotFound,
            Refusal::TooLarge(_) => Self::TooLarge,
            Refusal::TooSlow => Self::TooSlow,
            Refusal::TooMany { .. } | Refusal::TooManyOfKey { .. } => Self::TooMany,
            Refusal::Busy { .. } | Refusal::NoRoom { .. } => Self::Busy,
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::Signature | Self::ClockSkew => StatusCode::UNAUTHORIZED,
            Self::Token | Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Removed => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Gives the type (RFC 9457) by which a program tells an error from others of its status.
    fn type_of(self) -> &'static str {
        match self {
            Self::Malformed => problem::MALFORMED,
            Self::Signature => problem::SIGNATURE,
            Self::ClockSkew => problem::CLOCK_SKEW,
            Self::Token => problem::TOKEN,
            Self::Forbidden => problem::FORBIDDEN,
            Self::NotFound => problem::NOT_FOUND,
            Self::TooSlow => problem::TOO_SLOW,
            Self::Removed => problem::REMOVED,
            Self::TooLarge => problem::TOO_LARGE,
            Self::Invalid => problem::INVALID,
            Self::TooMany => problem::TOO_MANY,
            Self::Internal => problem::INTERNAL,
            Self::Busy => problem::BUSY,
        }
    }

    /// Tells what it means in the OpenAPI document.
    fn meaning(self) -> &'static str {
        match self {
            Self::Malformed => "The body is not JSON of the expected shape.",
            Self::Signature | Self::ClockSkew => {
                "The signature is missing, not of this profile, does not hold, or its time is off (type clock-skew, with `now`)."
            }
            Self::Token | Self::Forbidden => "The pairing token is wrong, used or expired.",
            Self::NotFound => "No such command for this server.",
            Self::TooSlow => "The body did not arrive within 15 s.",
            Self::Removed => "The server was removed: stop, and pair again. Believe it only with its proof in `removal`.",
            Self::TooLarge => "The body is larger than 1 MiB, or a pairing's larger than 32 KiB.",
            Self::Invalid => "A field is out of its range; the detail names it.",
            Self::TooMany => "Too many requests; see Retry-After.",
            Self::Internal => "A fault of the backend; its log says more.",
            Self::Busy => "Busy, or the database is away; see Retry-After. Keep what was not accepted.",
        }
    }
}

fn retry_after_s(error: &Error) -> Option<u64> {
    match error {
        Error::Refused(
            Refusal::TooMany { retry_after_s }
            | Refusal::TooManyOfKey { retry_after_s }
            | Refusal::Busy { retry_after_s }
            | Refusal::NoRoom { retry_after_s },
        ) => Some(*retry_after_s),
        Error::Database(_) => Some(DATABASE_RETRY_S),
        Error::Refused(_) | Error::Internal(_) => None,
    }
}

/// Says whether the connection ends with the refusal: what is left of the request was not read, and is not going to be.
fn hangs_up(kind: Kind) -> bool {
    match kind {
        Kind::Signature | Kind::Token | Kind::Forbidden | Kind::TooSlow | Kind::TooLarge | Kind::TooMany | Kind::Busy => true,
        Kind::Malformed | Kind::ClockSkew | Kind::NotFound | Kind::Removed | Kind::Invalid | Kind::Internal => false,
    }
}

/// Lists every status that an operation may answer with, and what it means.
pub fn documented() -> BTreeMap<u16, &'static str> {
    Kind::ALL.into_iter().map(|kind| (kind.status().as_u16(), kind.meaning())).collect()
}

/// Puts an error into a problem document, for the request with this nonce.
pub fn document(error: &Error, nonce: Option<String>) -> Problem {
    let kind = Kind::of(error);
    let (mut now, mut removal) = (None, None);
    let detail = match error {
        Error::Refused(refusal) => {
            match refusal {
                Refusal::ClockSkew { now: is, .. } => now = Some(*is),
                Refusal::Removed(proof) => removal = proof.as_deref().cloned(),
                _ => {}
            }
            error.to_string()
        }
        Error::Database(_) => "the database does not answer".to_owned(),
        Error::Internal(_) => "a fault of the backend; its log says more".to_owned(),
    };
    Problem {
        kind: kind.type_of().to_owned(),
        title: title(kind.status()),
        status: kind.status().as_u16(),
        detail,
        now,
        nonce,
        removal,
    }
}

/// Logs what is our own fault: its caller learns only that it is not theirs.
fn log(error: &Error) {
    match error {
        Error::Refused(_) => {}
        Error::Database(error) => tracing::error!(%error, "database"),
        Error::Internal(error) => tracing::error!(%error, "internal"),
    }
}

impl ResponseError for Error {
    fn status(&self) -> StatusCode {
        Kind::of(self).status()
    }

    fn as_response(&self) -> Response {
        refuse(self, None)
    }
}

/// Answers every error with a problem document that names the request's nonce.
pub fn told(endpoint: impl Endpoint<Output: IntoResponse> + 'static) -> impl Endpoint<Output = Response> {
    endpoint.around(|endpoint, request| async move {
        let [input, signature] = ["Signature-Input", "Signature"].map(|name| request.headers().get(name).cloned());
        match endpoint.call(request).await {
            Ok(response) => Ok(response.into_response()),
            Err(error) => Ok(respond(&error, nonce(input.as_ref(), signature.as_ref()))),
        }
    })
}

/// Gives the nonce of a request, by the two headers of its signature.
fn nonce(input: Option<&HeaderValue>, signature: Option<&HeaderValue>) -> Option<String> {
    Received::parse(input?.to_str().ok()?, signature?.to_str().ok()?).ok().map(|received| received.nonce)
}

/// Also answers the errors of poem itself, for a path or a parameter that is not ours.
fn respond(error: &poem::Error, nonce: Option<String>) -> Response {
    if let Some(error) = error.downcast_ref::<Error>() {
        return refuse(error, nonce);
    }
    let status = error.status();
    let (kind, detail) = (BLANK.to_owned(), error.to_string());
    answer(&Problem { kind, title: title(status), status: status.as_u16(), detail, now: None, nonce, removal: None }, None)
}

fn refuse(error: &Error, nonce: Option<String>) -> Response {
    log(error);
    let mut response = answer(&document(error, nonce), retry_after_s(error));
    if hangs_up(Kind::of(error)) {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Answers after a panic of a handler: its text is in the log.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    Error::internal("a handler panicked").as_response()
}

fn title(status: StatusCode) -> String {
    status.canonical_reason().unwrap_or_default().to_owned()
}

fn answer(problem: &Problem, retry_after_s: Option<u64>) -> Response {
    let mut response = Response::builder()
        .status(StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR))
        .content_type(MEDIA_TYPE)
        .body(serde_json::to_vec(problem).unwrap_or_default());
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert("Retry-After", seconds.into());
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_in_the_table_once() {
        for (place, kind) in Kind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, place);
        }
        assert_eq!(Kind::ALL.len(), Kind::Busy as usize + 1);
    }

    #[test]
    fn the_document_names_every_status_that_is_answered() {
        let documented = documented();
        for kind in Kind::ALL {
            // Two rows of one status say the same of it.
            assert_eq!(documented.get(&kind.status().as_u16()), Some(&kind.meaning()), "{kind:?}");
        }
    }

    #[test]
    fn a_refusal_keeps_its_type_and_says_when_to_come_again() {
        let of = |refusal: Refusal| document(&refusal.into(), None);
        assert_eq!((of(Refusal::Token).status, of(Refusal::Token).kind.as_str()), (403, problem::TOKEN));
        assert_eq!((of(Refusal::UnknownKey).status, of(Refusal::UnknownKey).kind.as_str()), (401, problem::SIGNATURE));
        assert_eq!(of(Refusal::ClockSkew { skew_s: 90, now: 7 }).now, Some(7));
        assert_eq!(retry_after_s(&Refusal::Busy { retry_after_s: 5 }.into()), Some(5));
        assert_eq!(retry_after_s(&Refusal::Removed(None).into()), None);
        let ours = document(&Error::internal("the password is 7"), None);
        assert!(!ours.detail.contains('7'), "{}", ours.detail);
    }
}
