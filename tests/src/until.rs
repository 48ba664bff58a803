//! How a story waits: for what is seen, never for a time.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::world::SOON;

/// How soon it looks again.
const LOOK: Duration = Duration::from_millis(20);

/// Looks until it is so.
///
/// # Panics
/// When it is not within [`SOON`].
pub async fn until(what: &str, so: impl AsyncFnMut() -> bool) {
    until_within(SOON, what, so).await;
}

/// Looks until it is so, for as long as it may take.
///
/// # Panics
/// When it is not by then.
pub async fn until_within(limit: Duration, what: &str, mut so: impl AsyncFnMut() -> bool) {
    let found = found_within(limit, async || so().await.then_some(())).await;
    assert!(found.is_some(), "not within {limit:?}: {what}");
}

/// Looks until there is something; nothing when there is none by then.
pub async fn found_within<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(limit, looking).await.ok()
}

/// Looks from a thread of its own, at a process; nothing when there is nothing by then.
pub fn found_in_time<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(LOOK);
    }
}
