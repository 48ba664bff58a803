//! The one owner of time, and of the ids that carry it. Everything else gets times as arguments.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicI64, Ordering},
};

use uuid::{ContextV7, Timestamp, Uuid};

use crate::domain::Millis;

#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    source: Source,
    /// Keeps ids of one millisecond in the order in which they were made.
    ids: Mutex<ContextV7>,
}

enum Source {
    System,
    Manual(AtomicI64),
}

impl Clock {
    pub fn system() -> Self {
        Self::new(Source::System)
    }

    /// Stands still until it is moved; for tests.
    pub fn manual(now: Millis) -> Self {
        Self::new(Source::Manual(AtomicI64::new(now)))
    }

    fn new(source: Source) -> Self {
        Self(Arc::new(Inner { source, ids: Mutex::new(ContextV7::new()) }))
    }

    #[expect(clippy::disallowed_methods, reason = "this is the owner of the clock")]
    pub fn now(&self) -> Millis {
        match &self.0.source {
            Source::System => {
                let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Millis::try_from(since_epoch.as_millis()).unwrap_or(Millis::MAX)
            }
            Source::Manual(now) => now.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock; a system clock cannot be moved.
    pub fn advance(&self, by: Millis) {
        if let Source::Manual(now) = &self.0.source {
            now.fetch_add(by, Ordering::SeqCst);
        }
    }

    /// A new UUIDv7: ids of this process sort by the time they were made.
    pub fn id(&self) -> String {
        let now = self.now();
        let seconds = u64::try_from(now / 1000).unwrap_or_default();
        let nanos = u32::try_from(now.rem_euclid(1000)).unwrap_or_default() * 1_000_000;
        let context = self.0.ids.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(Timestamp::from_unix(&*context, seconds, nanos)).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_millisecond_keep_their_order() {
        let clock = Clock::manual(1_800_000_000_000);
        let ids: Vec<String> = (0..1000).map(|_| clock.id()).collect();
        assert!(ids.is_sorted());
    }
}
