//! Two kinds of error: a [`Refusal`] is what a caller can do something about, and they are told; anything else is ours, is
//! logged, and they learn only that it was not their fault.
//!
//! | where | type |
//! |---|---|
//! | `domain` | none, or an enum of its own |
//! | `store` | `sqlx::Error` |
//! | `usecase` | [`Error`] where a caller can be refused, else `sqlx::Error` |
//! | `http` | [`Error`], turned into a problem document (RFC 9457) by `http::problem` |

use osm_protocol::messages::Removal;

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
    #[error("no server is paired with this key")]
    UnknownKey,
    #[error("the time in the signature is {skew_s} s from the time here")]
    ClockSkew { skew_s: i64, now: Millis },
    /// Wrong, used and expired tokens get this one answer.
    #[error("this pairing token is wrong, used or expired: ask the bot for a new one with /add_server")]
    Token,
    /// With the proof, where it is known whose key asks.
    #[error("this server was removed; pair it again with a token from /add_server")]
    Removed(Option<Box<Removal>>),
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
    /// Of one key, which is proven; [`Refusal::TooMany`] is of one address.
    #[error("too many requests of this server")]
    TooManyOfKey { retry_after_s: u64 },
    #[error("the backend is busy")]
    Busy { retry_after_s: u64 },
    /// What the whole process may hold is held.
    #[error("the backend has no room for this now")]
    NoRoom { retry_after_s: u64 },
    #[error("wrong or missing secret")]
    Forbidden,
}

impl Error {
    pub fn internal(error: impl std::fmt::Display) -> Self {
        Self::Internal(error.to_string())
    }
}
