//! Sizes, shares and times as people read them.

use fluent_templates::fluent_bundle::FluentValue;

use crate::{
    domain::{DAY, HOUR, MINUTE, Millis, SECOND},
    telegram::text::Text,
    zone::Zone,
};

/// The catalogue, and when and where a message is read.
pub(super) struct Words<'a> {
    pub(super) text: &'a Text,
    pub(super) zone: &'a Zone,
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

    /// Gives the two largest units of a span: "12 d 3 h".
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

    /// "2026-11-22 14:02 CET".
    pub(super) fn moment(&self, at: Millis) -> String {
        self.zone.moment(at)
    }

    /// "14:02 CET".
    pub(super) fn clock(&self, at: Millis) -> String {
        self.zone.clock(at)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 14:02:07 UTC.
    const NOW: Millis = 1_795_356_127_000;

    fn with_words<T>(write: impl FnOnce(&Words) -> T) -> T {
        write(&Words { text: &Text::new(None), zone: &Zone::utc(), now: NOW })
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
