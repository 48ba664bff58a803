//! The one owner of time, and of the ids that carry it. Everything else gets times as arguments.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::watch, time::Instant};
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
    System { started: Instant },
    Manual(watch::Sender<Manual>),
}

/// The hands of a manual clock, and who waits for them.
struct Manual {
    wall: Millis,
    steady: Millis,
    /// Until when each job sleeps; `None`: it is at work.
    jobs: Vec<Option<Millis>>,
}

/// A job's way to let time pass.
pub struct Pace {
    clock: Clock,
    /// Its place among a manual clock's jobs.
    job: usize,
}

impl Clock {
    pub fn system() -> Self {
        Self::new(Source::System { started: monotonic() })
    }

    /// Stands still until it is moved; for tests.
    pub fn manual(now: Millis) -> Self {
        Self::new(Source::Manual(watch::Sender::new(Manual { wall: now, steady: 0, jobs: Vec::new() })))
    }

    fn new(source: Source) -> Self {
        Self(Arc::new(Inner { source, ids: Mutex::new(ContextV7::new()) }))
    }

    /// Since the Unix epoch. It may jump.
    #[expect(clippy::disallowed_methods, reason = "this is the owner of the clock")]
    pub fn now(&self) -> Millis {
        match &self.0.source {
            Source::System { .. } => {
                let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
                Millis::try_from(since_epoch.as_millis()).unwrap_or(Millis::MAX)
            }
            Source::Manual(manual) => manual.borrow().wall,
        }
    }

    /// Since some moment of this process. It never jumps: for spans.
    pub fn steady(&self) -> Millis {
        match &self.0.source {
            Source::System { started } => Millis::try_from((monotonic() - *started).as_millis()).unwrap_or(Millis::MAX),
            Source::Manual(manual) => manual.borrow().steady,
        }
    }

    /// Gives the machine's own monotonic time, also where this clock is moved by hand: what Telegram takes of a chat in a second it
    /// takes in a real one.
    pub fn instant(&self) -> Instant {
        monotonic()
    }

    /// For a job that sleeps between its rounds.
    pub fn pace(&self) -> Pace {
        let mut job = 0;
        if let Source::Manual(manual) = &self.0.source {
            manual.send_modify(|manual| {
                job = manual.jobs.len();
                manual.jobs.push(None);
            });
        }
        Pace { clock: self.clone(), job }
    }

    /// Moves a manual clock; a system clock cannot be moved.
    pub fn advance(&self, by: Millis) {
        if let Source::Manual(manual) = &self.0.source {
            manual.send_modify(|manual| {
                manual.wall += by;
                manual.steady += by;
            });
        }
    }

    /// Sets a manual clock's time by `by`, as an administrator or a broken time server does: no time passes.
    pub fn jump(&self, by: Millis) {
        if let Source::Manual(manual) = &self.0.source {
            manual.send_modify(|manual| manual.wall += by);
        }
    }

    /// Moves a manual clock, and waits until all jobs have done what was due.
    pub async fn pass(&self, by: Millis) {
        self.advance(by);
        if let Source::Manual(manual) = &self.0.source {
            let idle = |manual: &Manual| manual.jobs.iter().all(|until| until.is_some_and(|until| until > manual.steady));
            // The sender is ours: it outlives this.
            let _ = manual.subscribe().wait_for(idle).await;
        }
    }

    /// Makes an id, a UUIDv7: those of this process sort by the time at which they were made.
    pub fn id<I: From<Uuid>>(&self) -> I {
        let now = self.now();
        let seconds = u64::try_from(now / 1000).unwrap_or_default();
        let nanos = u32::try_from(now.rem_euclid(1000)).unwrap_or_default() * 1_000_000;
        let context = self.0.ids.lock().unwrap_or_else(PoisonError::into_inner);
        Uuid::new_v7(Timestamp::from_unix(&*context, seconds, nanos)).into()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the owner of the clock")]
fn monotonic() -> Instant {
    Instant::now()
}

impl Pace {
    pub async fn sleep(&self, span: Duration) {
        match &self.clock.0.source {
            Source::System { .. } => tokio::time::sleep(span).await,
            Source::Manual(manual) => {
                let until = manual.borrow().steady + Millis::try_from(span.as_millis()).unwrap_or(Millis::MAX);
                manual.send_modify(|manual| manual.jobs[self.job] = Some(until));
                let _ = manual.subscribe().wait_for(|manual| manual.steady >= until).await;
                manual.send_modify(|manual| manual.jobs[self.job] = None);
            }
        }
    }
}

impl Drop for Pace {
    fn drop(&mut self) {
        if let Source::Manual(manual) = &self.clock.0.source {
            manual.send_modify(|manual| manual.jobs[self.job] = Some(Millis::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_one_millisecond_keep_their_order() {
        let clock = Clock::manual(1_800_000_000_000);
        let ids: Vec<Uuid> = (0..1000).map(|_| clock.id()).collect();
        assert!(ids.is_sorted());
    }
}
