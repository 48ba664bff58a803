//! The only place that reads a clock.
//!
//! Three clocks: the host's (what the machine believes), the boot clock (never stepped, counts sleep), and the backend's,
//! known through the answers it gives. Samples and signatures carry the backend's, so that a host whose clock is an hour
//! off is monitored all the same. What needs the time is given a [`Clock`], or the moment itself.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// A measurement moves the correction only when it is off by more than this: below it lies the network's own noise, and
/// a correction that stays put gives a report the same time however often it is sent.
const NOISE_MS: i64 = 2_000;

/// Now by the clocks of this host, which no backend can move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// What the machine believes, milliseconds since the Unix epoch.
    pub host: i64,
    /// Milliseconds since the machine booted, sleep included; no one can set it.
    pub boot: i64,
}

/// The clocks of this host, and the backend's as far as it is known.
#[derive(Debug)]
pub struct Clock {
    source: Source,
    /// Backend's clock minus boot clock; `None` until the backend has told its time: then the host's clock is believed.
    anchor: Cell<Option<i64>>,
    /// Host's clock minus backend's, as last measured.
    ahead: Cell<i64>,
}

#[derive(Debug)]
enum Source {
    System,
    #[cfg(test)]
    Manual(Cell<Moment>),
}

impl Clock {
    /// Goes by the clocks of this host.
    pub fn system() -> Self {
        Self { source: Source::System, anchor: Cell::new(None), ahead: Cell::new(0) }
    }

    /// Stands still until [`Clock::set`] moves it.
    #[cfg(test)]
    pub fn manual(at: Moment) -> Self {
        Self { source: Source::Manual(Cell::new(at)), ..Self::system() }
    }

    /// Moves a manual clock.
    #[cfg(test)]
    pub fn set(&self, at: Moment) {
        match &self.source {
            Source::System => panic!("only a manual clock can be set"),
            Source::Manual(moment) => moment.set(at),
        }
    }

    /// Reads the clocks of this host.
    pub fn moment(&self) -> Moment {
        match &self.source {
            Source::System => Moment { host: host_now(), boot: boot_now() },
            #[cfg(test)]
            Source::Manual(moment) => moment.get(),
        }
    }

    /// Reads the clock that timers go by.
    #[expect(clippy::disallowed_methods, reason = "this is the owner of time")]
    #[expect(clippy::unused_self, reason = "time is an argument: whoever asks has been given a clock")]
    pub fn instant(&self) -> Instant {
        Instant::now()
    }

    /// Gives the backend's time now.
    pub fn now(&self) -> i64 {
        let moment = self.moment();
        self.at_boot_time(moment.boot).unwrap_or(moment.host)
    }

    /// Gives the backend's time when the boot clock showed `boot`; `None` before the first measurement.
    pub fn at_boot_time(&self, boot: i64) -> Option<i64> {
        self.anchor.get().map(|anchor| anchor + boot)
    }

    /// Tells how far the host's clock is ahead of the backend's, as last measured.
    pub fn ahead(&self) -> i64 {
        self.ahead.get()
    }

    /// Takes up the backend's time from an answer whose request took `round_trip`.
    pub fn learn(&self, backend_now: i64, round_trip: Duration) {
        // Nonsense would end up in every sample: before 2020 or after 2200 no backend is right.
        if !(1_577_836_800_000..7_258_118_400_000).contains(&backend_now) {
            return;
        }
        let Moment { host, boot } = self.moment();
        let backend = backend_now + i64::try_from(round_trip.as_millis() / 2).unwrap_or(0);
        self.ahead.set(host - backend);
        let measured = backend - boot;
        if self.anchor.get().is_none_or(|anchor| anchor.abs_diff(measured) > NOISE_MS.unsigned_abs()) {
            self.anchor.set(Some(measured));
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the owner of time")]
fn host_now() -> i64 {
    let since =
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    since.saturating_add(shift())
}

fn boot_now() -> i64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec * 1000 + now.tv_nsec / 1_000_000
}

#[cfg(feature = "crash-points")]
fn shift() -> i64 {
    std::env::var("OSM_CLOCK_SHIFT_MS").ok().and_then(|shift| shift.parse().ok()).unwrap_or(0)
}

#[cfg(not(feature = "crash-points"))]
const fn shift() -> i64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKEND: i64 = 1_800_000_000_000;

    #[test]
    fn an_hour_off_is_measured_and_corrected() {
        let clock = Clock::manual(Moment { host: BACKEND + 3_600_000, boot: 5_000 });
        clock.learn(BACKEND, Duration::from_millis(200));
        assert_eq!(clock.ahead(), 3_600_000 - 100);
        assert_eq!(clock.at_boot_time(6_000), Some(BACKEND + 100 + 1_000));
        clock.set(Moment { host: 0, boot: 7_000 });
        assert_eq!(clock.now(), BACKEND + 100 + 2_000, "whatever happens to the host's clock");
    }

    #[test]
    fn noise_does_not_move_the_correction_and_a_step_does() {
        let clock = Clock::manual(Moment { host: BACKEND, boot: 0 });
        clock.learn(BACKEND, Duration::ZERO);
        clock.learn(BACKEND + 1_500, Duration::ZERO);
        assert_eq!(clock.at_boot_time(0), Some(BACKEND));
        clock.learn(BACKEND + 10_000, Duration::ZERO);
        assert_eq!(clock.at_boot_time(0), Some(BACKEND + 10_000));
    }

    #[test]
    fn a_nonsense_time_is_not_believed() {
        let clock = Clock::manual(Moment { host: BACKEND, boot: 0 });
        for nonsense in [0, -1, i64::MAX, i64::MIN] {
            clock.learn(nonsense, Duration::ZERO);
        }
        assert_eq!(clock.at_boot_time(0), None);
        assert_eq!(clock.now(), BACKEND, "the host's clock is believed until then");
    }
}
