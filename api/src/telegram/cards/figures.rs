//! Sizes, shares and times as people read them.

use fluent_templates::fluent_bundle::FluentValue;

use crate::{
    domain::{DAY, HOUR, MINUTE, Millis, SECOND},
    telegram::text::Text,
};

/// The catalogue and the time at which a message is written.
pub(super) struct Words<'a> {
    pub(super) text: &'a Text,
    pub(super) now: Millis,
}

impl Words<'_> {
    pub(super) fn get(&self, key: &str) -> String {
        self.text.get(key)
    }

    /// Arguments of texts that are HTML have to be escaped: see [`super::markup::safe`].
    pub(super) fn with(&self, key: &str, arguments: &[(&'static str, FluentValue<'_>)]) -> String {
        self.text.with(key, arguments)
    }

    /// The two largest units of a span: "12 d 3 h".
    pub(super) fn duration(&self, span: Millis) -> String {
        let span = span.max(0);
        let (key, large, small) = if span >= DAY {
            ("duration-days", span / DAY, span % DAY / HOUR)
        } else if span >= HOUR {
            ("duration-hours", span / HOUR, span % HOUR / MINUTE)
        } else if span >= MINUTE {
            ("duration-minutes", span / MINUTE, span % MINUTE / SECOND)
        } else {
            ("duration-seconds", span / SECOND, 0)
        };
        self.with(key, &[("large", large.into()), ("small", small.into())])
    }

    /// "4 min 10 s ago". What lies ahead, by a clock that is a little off, is just now.
    pub(super) fn ago(&self, at: Millis) -> String {
        let span = self.now.saturating_sub(at);
        if span < 5 * SECOND {
            return self.get("time-just-now");
        }
        self.with("time-ago", &[("duration", self.duration(span).into())])
    }

    /// "2026-11-22 14:02 UTC".
    pub(super) fn moment(&self, at: Millis) -> String {
        let (year, month, day) = civil_date(at);
        self.with("time-moment", &[("date", format!("{year:04}-{month:02}-{day:02}").into()), ("time", hours(at).into())])
    }

    /// "14:02 UTC".
    pub(super) fn clock(&self, at: Millis) -> String {
        self.with("time-clock", &[("time", hours(at).into())])
    }
}

/// "91 %".
pub(super) fn percent(value: f64) -> String {
    format!("{value:.0} %")
}

/// "39.2 GiB": binary units, as df(1) and free(1) count with `-h`.
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(super) fn bytes(value: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if value < 1024 {
        return format!("{value} B");
    }
    let mut amount = value as f64 / 1024.0;
    let mut unit = 0;
    // 1023.95 would be shown as 1024.0.
    while amount >= 1023.95 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if amount >= 99.95 { format!("{amount:.0} {}", UNITS[unit]) } else { format!("{amount:.1} {}", UNITS[unit]) }
}

fn hours(at: Millis) -> String {
    let minutes = at.rem_euclid(DAY) / MINUTE;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// Year, month and day of a time in UTC: Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>), whose years begin in March.
fn civil_date(at: Millis) -> (i64, i64, i64) {
    let days = at.div_euclid(DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 14:02:07 UTC.
    const NOW: Millis = 1_795_356_127_000;

    fn with_words<T>(write: impl FnOnce(&Words) -> T) -> T {
        write(&Words { text: &Text::new(None), now: NOW })
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(civil_date(0), (1970, 1, 1));
        assert_eq!(civil_date(-1), (1969, 12, 31));
        assert_eq!(civil_date(951_782_400_000), (2000, 2, 29));
        assert_eq!(civil_date(1_709_164_800_000), (2024, 2, 29));
        assert_eq!(civil_date(4_107_542_400_000), (2100, 3, 1));
        assert_eq!(with_words(|words| words.moment(NOW)), "2026-11-22 14:02 UTC");
        assert_eq!(with_words(|words| words.clock(NOW)), "14:02 UTC");
        for extreme in [i64::MIN, i64::MAX] {
            with_words(|words| words.moment(extreme) + &words.ago(extreme));
        }
    }

    #[test]
    fn spans_show_their_two_largest_units() {
        let shown = |span| with_words(|words| words.duration(span));
        assert_eq!(shown(12 * DAY + 3 * HOUR + MINUTE), "12 d 3 h");
        assert_eq!(shown(3 * HOUR + 5 * MINUTE), "3 h 5 min");
        assert_eq!(shown(4 * MINUTE + 10 * SECOND), "4 min 10 s");
        assert_eq!(shown(45 * SECOND), "45 s");
        assert_eq!(shown(-1), "0 s");
    }

    #[test]
    fn ago_is_never_in_the_future() {
        assert_eq!(with_words(|words| words.ago(NOW - MINUTE)), "1 min ago");
        assert_eq!(with_words(|words| words.ago(NOW + MINUTE)), "just now");
    }

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        for (value, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (42_090_070_016, "39.2 GiB"),
            (1 << 40, "1.0 TiB"),
            ((1 << 40) - 1, "1.0 TiB"),
            (500 << 30, "500 GiB"),
            (1 << 60, "1.0 EiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes(value), shown);
        }
    }

    #[test]
    fn shares_are_whole_percents() {
        assert_eq!(percent(90.6), "91 %");
        assert_eq!(percent(0.0), "0 %");
    }
}
