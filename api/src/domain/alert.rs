//! When a figure becomes an alert, and when it stops being one. A figure has to stay at its limit for the rule's duration before
//! anybody is woken, and below a lower limit before the alert ends, so that noise around a limit is neither.

use serde::{Deserialize, Serialize};

use crate::domain::{DAY, MINUTE, Millis, SECOND};

/// How long a figure has to stay below the lower limit before its alert ends.
const CLEAR: Millis = MINUTE;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    Cpu,
    /// Total less available.
    Memory,
    Swap,
    /// Each disk by itself.
    Disk,
    /// The inodes of each disk.
    Inodes,
    /// A disk that was to be written to is read-only.
    ReadOnly,
    /// A disk that does not answer.
    NoAnswer,
    /// Load average over five minutes, per CPU.
    Load,
    /// Each failed service.
    Service,
    /// Each service that is restarted again and again, by how often.
    Restarts,
    /// Each service that does not get ready.
    NotReady,
    /// Each service that boot asked for and that never came up.
    Down,
    /// Each failed unit that is no service: mount, swap, timer, socket, …
    Unit,
    /// Reports are missing.
    Offline,
    /// The boot id changed, and nobody here asked for it.
    Reboot,
    /// The clock is off by so many seconds.
    Clock,
    /// Reports arrive, and the host cannot ask for commands.
    Commands,
}

/// Which goes first, and which is repeated until somebody has seen it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    Warning,
    Critical,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }

    /// Reads it; what is unknown is rather told too loudly.
    pub fn parse(text: &str) -> Self {
        if text == "warning" { Self::Warning } else { Self::Critical }
    }
}

/// How a rule's limit may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    pub min: f64,
    pub max: f64,
    /// One tap on a button.
    pub step: f64,
    /// By default an alert ends this much below its limit; 0: at once, when it is below the limit.
    pub margin: f64,
}

/// Durations that the buttons go through.
pub const HOLDS: [Millis; 8] = [0, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE, 60 * MINUTE];

impl Rule {
    pub const ALL: [Self; 17] = [
        Self::Cpu,
        Self::Memory,
        Self::Swap,
        Self::Disk,
        Self::Inodes,
        Self::ReadOnly,
        Self::NoAnswer,
        Self::Load,
        Self::Service,
        Self::Restarts,
        Self::NotReady,
        Self::Down,
        Self::Unit,
        Self::Offline,
        Self::Reboot,
        Self::Clock,
        Self::Commands,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Swap => "swap",
            Self::Disk => "disk",
            Self::Inodes => "inodes",
            Self::ReadOnly => "read-only",
            Self::NoAnswer => "no-answer",
            Self::Load => "load",
            Self::Service => "service",
            Self::Restarts => "restarts",
            Self::NotReady => "not-ready",
            Self::Down => "down",
            Self::Unit => "unit",
            Self::Offline => "offline",
            Self::Reboot => "reboot",
            Self::Clock => "clock",
            Self::Commands => "commands",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| rule.as_str() == text)
    }

    /// Gives the range of its limit; `None`: it either happened or did not.
    pub fn range(self) -> Option<Range> {
        match self {
            Self::Cpu | Self::Memory | Self::Swap | Self::Disk | Self::Inodes => {
                Some(Range { min: 1.0, max: 100.0, step: 5.0, margin: 5.0 })
            }
            Self::Load => Some(Range { min: 0.5, max: 100.0, step: 0.5, margin: 0.5 }),
            // Since it last ran for ten minutes.
            Self::Restarts => Some(Range { min: 2.0, max: 100.0, step: 1.0, margin: 0.0 }),
            // Missed intervals.
            Self::Offline => Some(Range { min: 2.0, max: 60.0, step: 1.0, margin: 0.0 }),
            // Seconds. Beyond 30 s a host refuses commands.
            Self::Clock => Some(Range { min: 5.0, max: 3600.0, step: 5.0, margin: 2.0 }),
            Self::ReadOnly
            | Self::NoAnswer
            | Self::Service
            | Self::NotReady
            | Self::Down
            | Self::Unit
            | Self::Reboot
            | Self::Commands => None,
        }
    }

    /// Tells whether its subject is a service, which a restart may mend.
    pub fn is_of_service(self) -> bool {
        matches!(self, Self::Service | Self::Restarts | Self::NotReady | Self::Down)
    }

    /// Tells whether it can be asked to hold for a while before it is told.
    pub fn has_hold(self) -> bool {
        !matches!(self, Self::Restarts | Self::Offline | Self::Reboot)
    }

    pub fn default_limits(self) -> Limits {
        use Severity::{Critical, Warning};
        let (limit, hold, severity) = match self {
            Self::Cpu => (90.0, 10 * MINUTE, Warning),
            Self::Memory => (90.0, 10 * MINUTE, Critical),
            Self::Swap => (80.0, 5 * MINUTE, Warning),
            Self::Disk | Self::Inodes => (90.0, MINUTE, Critical),
            Self::Load => (2.0, 15 * MINUTE, Warning),
            Self::Service | Self::Unit | Self::ReadOnly => (1.0, 0, Critical),
            // systemd's own burst (systemd-system.conf(5), DefaultStartLimitBurst=).
            Self::Restarts => (5.0, 0, Critical),
            // Databases that recover and caches that fill take their minutes.
            Self::NotReady => (1.0, 10 * MINUTE, Critical),
            Self::Down => (1.0, 2 * MINUTE, Critical),
            Self::NoAnswer => (1.0, MINUTE, Critical),
            Self::Offline => (3.0, 0, Critical),
            Self::Reboot | Self::Commands => (1.0, 0, Warning),
            Self::Clock => (30.0, 5 * MINUTE, Warning),
        };
        let margin = self.range().map_or(0.0, |range| range.margin);
        Limits { enabled: true, limit, lower: self.end(limit - margin), hold, severity }
    }

    /// Gives below what it ends, where that is not the limit's affair.
    fn end(self, lower: f64) -> f64 {
        // Once it has run for a while, and so has no restart any more.
        if self == Self::Restarts { 1.0 } else { lower }
    }

    /// Tells whether there is anything between its limit and its end.
    pub fn has_lower(self) -> bool {
        self.range().is_some_and(|range| range.margin > 0.0)
    }
}

/// A rule as a chat or a server has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub enabled: bool,
    /// At it or above is too much.
    pub limit: f64,
    /// Below it, the alert ends.
    pub lower: f64,
    /// For how long without a break.
    pub hold: Millis,
    pub severity: Severity,
}

impl Limits {
    /// These limits, or the nearest that the rule allows. What is no number at all becomes the default.
    #[must_use]
    pub fn capped(self, rule: Rule) -> Self {
        let default = rule.default_limits();
        let limit = match rule.range() {
            Some(range) if self.limit.is_finite() => self.limit.clamp(range.min, range.max),
            _ => default.limit,
        };
        let lower = match rule.range() {
            Some(range) if rule.has_lower() && self.lower.is_finite() => self.lower.clamp(range.min.min(limit), limit),
            _ => rule.end(limit),
        };
        let hold = if rule.has_hold() { self.hold.clamp(0, DAY) } else { default.hold };
        Self { limit, lower, hold, ..self }
    }
}

/// Limits as a person sets them and a button carries them: whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    pub enabled: bool,
    pub tenths: i64,
    pub lower_tenths: i64,
    pub minutes: i64,
    pub severity: Severity,
}

impl From<Limits> for Setting {
    fn from(limits: Limits) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "at most 3600")]
        let tenths = |value: f64| (value * 10.0).round() as i64;
        Self {
            enabled: limits.enabled,
            tenths: tenths(limits.limit),
            lower_tenths: tenths(limits.lower),
            minutes: limits.hold / MINUTE,
            severity: limits.severity,
        }
    }
}

impl Setting {
    #[expect(clippy::cast_precision_loss, reason = "whatever is beyond a rule's range is refused")]
    pub fn limits(self) -> Limits {
        Limits {
            enabled: self.enabled,
            limit: self.tenths as f64 / 10.0,
            lower: self.lower_tenths as f64 / 10.0,
            hold: self.minutes.saturating_mul(MINUTE),
            severity: self.severity,
        }
    }

    /// Tells whether the rule allows it.
    pub fn fits(self, rule: Rule) -> bool {
        Self::from(self.limits().capped(rule)) == self
    }

    /// Gives one step up or down, and the lower limit with it; as it is, where there is none.
    #[must_use]
    pub fn with_limit(self, rule: Rule, step: Step) -> Self {
        let Some(range) = rule.range() else { return self };
        let limits = self.limits();
        let limit = step.from(limits.limit, range.step).clamp(range.min, range.max);
        let lower = limits.lower + limit - limits.limit;
        Self::from(Limits { limit, lower, ..limits }.capped(rule))
    }

    /// Gives the lower limit one step up or down.
    #[must_use]
    pub fn with_lower(self, rule: Rule, step: Step) -> Self {
        let Some(range) = rule.range().filter(|_| rule.has_lower()) else { return self };
        let limits = self.limits();
        Self::from(Limits { lower: step.from(limits.lower, range.step), ..limits }.capped(rule))
    }

    /// Gives the next longer or shorter duration.
    #[must_use]
    pub fn with_hold(self, rule: Rule, step: Step) -> Self {
        let hold = self.limits().hold;
        let next = match step {
            Step::Up => HOLDS.into_iter().find(|next| *next > hold),
            Step::Down => HOLDS.into_iter().rev().find(|next| *next < hold),
        };
        match next.filter(|_| rule.has_hold()) {
            Some(next) => Self { minutes: next / MINUTE, ..self },
            None => self,
        }
    }
}

/// One tap on a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Up,
    Down,
}

impl Step {
    /// Gives the next whole step: 1 % and 5 % up is 5 %.
    fn from(self, value: f64, step: f64) -> f64 {
        let steps = value / step;
        match self {
            Self::Up => step * ((steps + 0.001).floor() + 1.0),
            Self::Down => step * ((steps - 0.001).ceil() - 1.0),
        }
    }
}

/// One figure at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    pub at: Millis,
    pub value: f64,
    /// Silence longer than this was not seen: nothing is assumed to have held through it.
    pub longest_gap: Millis,
}

/// What is remembered of one figure of one server while it is not plainly well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// When it was last judged.
    pub at: Millis,
    /// Since when it has been at the limit, without a break.
    pub above_since: Option<Millis>,
    /// Since when it has been below the lower limit, while firing.
    pub below_since: Option<Millis>,
    pub firing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Fired,
    Cleared,
}

impl Watch {
    /// Takes in one more figure. What is no number, or no newer than the last, changes nothing.
    pub fn judge(&mut self, rule: Rule, limits: &Limits, sample: Sample) -> Option<Change> {
        if !sample.value.is_finite() || sample.at <= self.at {
            return None;
        }
        if sample.at - self.at > sample.longest_gap {
            self.above_since = None;
            self.below_since = None;
        }
        self.at = sample.at;
        if !self.firing {
            return self.rise(limits, sample);
        }
        if limits.enabled && sample.value >= limits.lower {
            self.below_since = None;
            return None;
        }
        let since = *self.below_since.get_or_insert(sample.at);
        // A service that runs again, a server that reports again: there is nothing to wait for.
        let clear = if rule.has_lower() && limits.enabled { CLEAR } else { 0 };
        (sample.at - since >= clear).then(|| {
            *self = Self { at: sample.at, ..Self::default() };
            Change::Cleared
        })
    }

    fn rise(&mut self, limits: &Limits, sample: Sample) -> Option<Change> {
        if !limits.enabled || sample.value < limits.limit {
            self.above_since = None;
            return None;
        }
        let since = *self.above_since.get_or_insert(sample.at);
        (sample.at - since >= limits.hold).then(|| {
            *self = Self { at: sample.at, firing: true, ..Self::default() };
            Change::Fired
        })
    }

    /// Forgets its times: the clock that they are of was set back, and they mean nothing any more. What fires goes on.
    #[must_use]
    pub fn on_another_clock(self) -> Self {
        Self { firing: self.firing, ..Self::default() }
    }

    /// Nothing worth remembering.
    pub fn is_idle(&self) -> bool {
        !self.firing && self.above_since.is_none()
    }
}

/// Silence that counts as seen, by the interval at which a server reports.
pub fn longest_gap(interval_s: u32) -> Millis {
    (3 * i64::from(interval_s) * SECOND).max(MINUTE)
}

/// Gives how often `limits` would have fired over past figures, in order of time.
pub fn replay(rule: Rule, limits: &Limits, samples: impl IntoIterator<Item = Sample>) -> u32 {
    let mut watch = Watch::default();
    let mut fired = 0;
    for sample in samples {
        if watch.judge(rule, limits, sample) == Some(Change::Fired) {
            fired += 1;
        }
    }
    fired
}

#[cfg(test)]
#[path = "alert_tests.rs"]
mod tests;
