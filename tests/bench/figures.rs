//! Percentiles, and the table.

use std::{fmt, time::Duration};

/// Durations of one kind.
#[derive(Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    pub fn push(&mut self, duration: Duration) {
        self.0.push(duration);
    }

    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The shortest that `percent` of all do not exceed (nearest rank).
    pub fn percentile(&mut self, percent: usize) -> Duration {
        self.0.sort_unstable();
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }

    pub fn summary(&mut self) -> String {
        format!("p50 {}   p99 {}   max {}", ms(self.percentile(50)), ms(self.percentile(99)), ms(self.percentile(100)))
    }
}

pub fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

pub fn us(duration: Duration) -> String {
    format!("{} µs", duration.as_micros())
}

/// In 10^6 bytes.
#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
pub fn mb(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// What was measured, and what is to be reached.
#[derive(Default)]
pub struct Table(Vec<[String; 3]>);

impl Table {
    pub fn row(&mut self, what: impl Into<String>, measured: impl Into<String>, target: &str) {
        self.0.push([what.into(), measured.into(), target.to_owned()]);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |column: usize| self.0.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let (first, second) = (width(0), width(1));
        for [what, measured, target] in &self.0 {
            writeln!(f, "{}", format!("{what:first$}   {measured:second$}   {target}").trim_end())?;
        }
        Ok(())
    }
}
