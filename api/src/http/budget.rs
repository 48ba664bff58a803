//! What the whole process takes at once. What is over gets 503 and comes again.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::error::{Refusal, Result};

/// Requests at once of callers who have shown nothing yet: look-ups of unknown keys, pages, packages, health.
const STRANGERS: usize = 256;
/// Bytes of bodies, from before the first is read until the request is answered: the batch that was read from them waits
/// meanwhile. Most reports have a few KiB; batches of a backlog have up to 1 MiB, and must not keep those out. What strangers
/// bring (pairings) keeps nobody out but each other.
const SMALL: u32 = 64 * KIB;
const SMALL_BODIES: usize = 8 * 1024 * KIB as usize;
const LARGE_BODIES: usize = 16 * 1024 * KIB as usize;
const STRANGERS_BODIES: usize = 16 * 1024 * KIB as usize;
const KIB: u32 = 1024;
/// When to come again, seconds: a body has gone by then.
const RETRY_S: u64 = 5;

pub struct Budget {
    strangers: Arc<Semaphore>,
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    of_strangers: Arc<Semaphore>,
}

/// Who brings a body.
#[derive(Clone, Copy, Debug)]
pub enum Bearer {
    Known,
    Stranger,
}

/// Room that is taken, until this is dropped.
pub struct Room(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Budget {
    pub fn new() -> Self {
        let of = |permits| Arc::new(Semaphore::new(permits));
        Self { strangers: of(STRANGERS), small: of(SMALL_BODIES), large: of(LARGE_BODIES), of_strangers: of(STRANGERS_BODIES) }
    }

    /// Gives room for a stranger's request.
    pub fn stranger(&self) -> Result<Room> {
        take(&self.strangers, 1)
    }

    /// Gives room for a body of so many bytes.
    pub fn body(&self, bearer: Bearer, bytes: u32) -> Result<Room> {
        let of = match bearer {
            Bearer::Stranger => &self.of_strangers,
            Bearer::Known if bytes <= SMALL => &self.small,
            Bearer::Known => &self.large,
        };
        take(of, bytes)
    }
}

fn take(of: &Arc<Semaphore>, permits: u32) -> Result<Room> {
    Ok(of.clone().try_acquire_many_owned(permits).map(Room).map_err(|_| Refusal::NoRoom { retry_after_s: RETRY_S })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u32 = 1024 * KIB;

    /// Finding 1.
    #[test]
    fn what_is_held_is_bounded_and_nobody_keeps_another_kind_out() {
        let budget = Budget::new();
        let hold = |bearer, bytes| std::iter::from_fn(|| budget.body(bearer, bytes).ok()).collect::<Vec<_>>();
        let backlogs = hold(Bearer::Known, MIB);
        assert_eq!(backlogs.len(), 16);
        let pairings = hold(Bearer::Stranger, 32 * KIB);
        assert_eq!(pairings.len(), 512);
        let reports = hold(Bearer::Known, 4 * KIB);
        assert_eq!(reports.len(), 2048);
        drop(reports);
        assert!(budget.body(Bearer::Known, 4 * KIB).is_ok(), "room comes back");
    }
}
