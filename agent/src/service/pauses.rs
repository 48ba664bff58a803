//! How long a loop waits after a refusal.

use std::time::Duration;

use super::session::Session;
use crate::{
    backend::{
        backoff::{Backoff, jittered},
        error::ClientError,
    },
    host::systemd::Systemd,
};

/// How long a removed server waits before it asks again, in case it was a mistake.
pub const REMOVED_PAUSE: Duration = Duration::from_hours(1);
/// Longest pause between attempts, whatever else is answered.
pub const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Says how long to wait after a call that failed.
pub async fn pause_after<S: Systemd>(session: &Session<'_, S>, error: &ClientError, backoff: &mut Backoff) -> Duration {
    let random = session.service.machine.random;
    if session.is_removed_by(error).await {
        return jittered(REMOVED_PAUSE, random);
    }
    let pause = backoff.pause(random);
    match error {
        ClientError::Busy { retry_after: Some(asked) } => jittered(*asked, random).max(pause),
        ClientError::Network(_) | ClientError::Between(_) | ClientError::Busy { .. } | ClientError::Refused(_) => pause,
    }
}
