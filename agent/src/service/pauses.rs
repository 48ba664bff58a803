//! How long a loop waits after a refusal.

use std::time::Duration;

use crate::{
    backend::{
        backoff::{Backoff, jittered},
        error::ClientError,
    },
    host::random::Random,
};

/// How long a removed server waits before it asks again, in case it was a mistake.
pub const REMOVED_PAUSE: Duration = Duration::from_hours(1);
/// As long as the backend refuses: it does not know the agent's key, or the command.
pub const KEY_PAUSE: Duration = Duration::from_mins(5);
/// Longest pause between attempts when nothing answers.
pub const BACKOFF_MAX: Duration = Duration::from_mins(1);

/// Says how long to wait after a call that failed.
pub fn pause_after(error: &ClientError, backoff: &mut Backoff, random: Random) -> Duration {
    match error {
        ClientError::Removed => jittered(REMOVED_PAUSE, random),
        ClientError::Busy { retry_after: Some(pause) } => *pause + backoff.pause(random),
        // Refused as such: soon again would be refused again.
        ClientError::Refused(problem) if problem.status < 500 => jittered(KEY_PAUSE, random),
        ClientError::Network(_) | ClientError::Busy { retry_after: None } | ClientError::Refused(_) | ClientError::Answer(_) => {
            backoff.pause(random)
        }
    }
}
