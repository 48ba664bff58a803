//! When a chat or a server makes no sound: until a time, or daily between two times of the day.

use crate::domain::{
    DAY, HOUR, MINUTE, Millis,
    ids::{MuteId, ServerId},
};

/// Minutes of a day.
pub const MINUTES: i64 = DAY / MINUTE;
/// The longest one-off mute.
pub const LONGEST: Millis = 30 * DAY;
/// Mutes that a chat may have.
pub const PER_CHAT: usize = 50;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mute {
    pub id: MuteId,
    /// `None`: the whole chat.
    pub server_id: Option<ServerId>,
    pub window: Window,
    pub created_by: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Until(Millis),
    /// Minutes of the day, the second not included; over midnight where it is the lower.
    Daily {
        from: i64,
        to: i64,
    },
}

impl Mute {
    /// Tells whether it covers this server at `now`, which is `minute` in the chat's day.
    pub fn covers(&self, server_id: ServerId, now: Millis, minute: i64) -> bool {
        self.server_id.is_none_or(|id| id == server_id) && self.window.is_active(now, minute)
    }
}

impl Window {
    pub fn is_active(self, now: Millis, minute: i64) -> bool {
        match self {
            Self::Until(until) => now < until,
            Self::Daily { from, to } if from <= to => (from..to).contains(&minute),
            Self::Daily { from, to } => minute >= from || minute < to,
        }
    }

    /// "2h", "30m", "1d", or "22:00-06:00".
    pub fn parse(text: &str, now: Millis) -> Option<Self> {
        if let Some((from, to)) = text.split_once('-') {
            let (from, to) = (time_of_day(from)?, time_of_day(to)?);
            return (from != to).then_some(Self::Daily { from, to });
        }
        let unit = match text.chars().last()?.to_ascii_lowercase() {
            'm' => MINUTE,
            'h' => HOUR,
            'd' => DAY,
            _ => return None,
        };
        let count = digits(&text[..text.len() - 1])?;
        let span = unit.checked_mul(count)?;
        (MINUTE..=LONGEST).contains(&span).then_some(Self::Until(now + span))
    }
}

fn time_of_day(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (digits(hours)?, digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

fn digits(text: &str) -> Option<i64> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_windows_are_read_as_people_write_them() {
        for (text, window) in [
            ("30m", Window::Until(30 * MINUTE)),
            ("2h", Window::Until(2 * HOUR)),
            ("1D", Window::Until(DAY)),
            ("22:00-06:00", Window::Daily { from: 22 * 60, to: 6 * 60 }),
            ("9:30-17:05", Window::Daily { from: 570, to: 1025 }),
        ] {
            assert_eq!(Window::parse(text, 0), Some(window), "{text}");
        }
        for text in [
            "",
            "h",
            "0h",
            "31d",
            "-1h",
            "+1h",
            "1w",
            "1é",
            "22:00",
            "22:00-22:00",
            "24:00-06:00",
            "22:60-06:00",
            "a:b-c:d",
            "99999999h",
        ] {
            assert_eq!(Window::parse(text, 0), None, "{text}");
        }
    }

    #[test]
    fn a_daily_window_goes_over_midnight() {
        let night = Window::Daily { from: 22 * 60, to: 6 * 60 };
        let active: Vec<bool> = [21 * 60 + 59, 22 * 60, 0, 6 * 60 - 1, 6 * 60].map(|minute| night.is_active(0, minute)).to_vec();
        assert_eq!(active, [false, true, true, true, false]);
        let day = Window::Daily { from: 60, to: 120 };
        let active: Vec<bool> = [59, 60, 119, 120].map(|minute| day.is_active(0, minute)).to_vec();
        assert_eq!(active, [false, true, true, false]);
    }

    #[test]
    fn a_mute_of_one_server_is_not_one_of_another() {
        let [one, other]: [ServerId; 2] =
            ["01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d-ac96-774b-bcce-b302099a8058"].map(|id| id.parse().unwrap());
        let id: MuteId = "01890a5d-ac96-774b-bcce-b302099a8059".parse().unwrap();
        let mute = |server_id| Mute { id, server_id, window: Window::Until(10), created_by: String::new() };
        assert!(mute(Some(one)).covers(one, 9, 0) && mute(None).covers(other, 9, 0));
        assert!(!mute(Some(one)).covers(other, 9, 0) && !mute(None).covers(other, 10, 0));
    }
}
