//! Civil time: the day and the hour of a moment where a chat's people live. The one owner of time zones.

use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::domain::Millis;

#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// By its name in IANA's time zone database, in any case of letters: `Europe/Berlin`.
    pub fn parse(name: &str) -> Option<Self> {
        let is_name = name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte));
        is_name.then(|| TimeZone::get(name).ok().map(Self)).flatten()
    }

    /// Gives a chat's: UTC where it has set none, or one that is no longer known.
    pub fn of(name: Option<&str>) -> Self {
        name.and_then(Self::parse).unwrap_or_else(Self::utc)
    }

    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// "2026-11-22 14:02 CET".
    pub fn moment(&self, at: Millis) -> String {
        self.at(at).strftime("%Y-%m-%d %H:%M %Z").to_string()
    }

    /// "2026-11-22T14:02:07Z", in UTC whatever the zone is: RFC 3339.
    pub fn rfc3339(&self, at: Millis) -> String {
        self.at(at).timestamp().to_string()
    }

    /// "14:02 CET".
    pub fn clock(&self, at: Millis) -> String {
        self.at(at).strftime("%H:%M %Z").to_string()
    }

    /// Minutes since midnight on the wall.
    pub fn minute_of_day(&self, at: Millis) -> i64 {
        let time = self.at(at).time();
        i64::from(time.hour()) * 60 + i64::from(time.minute())
    }

    fn at(&self, at: Millis) -> Zoned {
        // Before year -9999 and after 9999 there is no calendar.
        Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::HOUR;

    /// 2026-11-22 14:02:07 UTC.
    const NOW: Millis = 1_795_356_127_000;

    #[test]
    fn moments_are_those_of_the_zone() {
        assert_eq!(Zone::utc().moment(NOW), "2026-11-22 14:02 UTC");
        assert_eq!(Zone::of(Some("europe/berlin")).moment(NOW), "2026-11-22 15:02 CET");
        assert_eq!(Zone::of(Some("Asia/Kolkata")).clock(NOW), "19:32 IST");
        assert_eq!(Zone::utc().clock(-1), "23:59 UTC");
        for extreme in [i64::MIN, i64::MAX] {
            assert!(!Zone::utc().moment(extreme).is_empty());
        }
    }

    #[test]
    fn an_hour_of_the_day_is_skipped_in_spring_and_comes_twice_in_autumn() {
        let berlin = Zone::of(Some("Europe/Berlin"));
        // 2026-03-29 and 2026-10-25, 01:00 UTC: when the clocks of the European Union change.
        for (change, before, after) in [(1_774_746_000_000, 60, 180), (1_792_890_000_000, 120, 120)] {
            assert_eq!(berlin.minute_of_day(change - HOUR), before);
            assert_eq!(berlin.minute_of_day(change), after);
        }
    }

    #[test]
    fn names_that_are_none_are_refused() {
        for name in ["", "Mars/Olympus", "../../etc/passwd", "Europe/Berlin\0", "<b>"] {
            assert!(Zone::parse(name).is_none(), "{name:?}");
        }
        assert_eq!(Zone::of(Some("Mars/Olympus")).name(), "UTC");
    }
}
