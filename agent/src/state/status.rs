//! The file in which `run` says how it goes.

use std::fs;

use serde::{Deserialize, Serialize};

use super::dir::StateDir;
use crate::text::duration;

const FILE: &str = "status.json";

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// By the backend's clock.
    pub last_accepted: Option<i64>,
    pub last_error: Option<String>,
    pub last_error_at: Option<i64>,
    pub spooled: usize,
    pub open_outcomes: usize,
    pub clock_ahead_ms: i64,
    pub removed: bool,
    /// Why every command is refused, where that is so.
    #[serde(default)]
    pub commands_off: Option<String>,
    /// Why no command has arrived for a while, where that is so.
    #[serde(default)]
    pub commands_unreachable: Option<String>,
    /// Disks of which nothing could be read, and why.
    #[serde(default)]
    pub disks_unread: Vec<String>,
    /// Processes are to be reported, and this one's sandbox hides them.
    #[serde(default)]
    pub processes_hidden: bool,
}

impl Status {
    /// Reads what `run` wrote last; `None` where it never ran.
    pub fn read(dir: &StateDir) -> Option<Self> {
        dir.read(FILE).ok().flatten()
    }

    /// Notes that a report was taken.
    pub fn accepted(&mut self, now: i64) {
        self.last_accepted = Some(now);
        self.last_error = None;
        self.last_error_at = None;
        self.removed = false;
    }

    /// Notes that reports are not taken.
    pub fn failed(&mut self, why: String, now: i64) {
        self.last_error = Some(why);
        self.last_error_at = Some(now);
    }

    /// Puts it in one line, for `systemctl status`.
    pub fn line(&self, now: i64) -> String {
        match (&self.last_error, self.last_accepted) {
            (Some(error), _) => format!("{error}; {} reports kept", self.spooled),
            (None, Some(at)) => format!("Last report {} ago; {} kept", duration(now - at), self.spooled),
            (None, None) => "Starting".to_owned(),
        }
    }

    /// Writes the file. It is a view for people: not worth a sync, and no harm if it is lost.
    pub fn write(&self, dir: &StateDir) {
        let beside = dir.file(".status.json.new");
        let written = serde_json::to_vec(self)
            .map_err(std::io::Error::from)
            .and_then(|bytes| fs::write(&beside, bytes))
            .and_then(|()| fs::rename(&beside, dir.file(FILE)));
        if let Err(error) = written {
            log::debug!("{FILE} cannot be written: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_gone_after_a_success() {
        let mut status = Status::default();
        status.failed("it was removed".to_owned(), 3);
        status.removed = true;
        assert!(status.line(3).contains("it was removed"));
        status.accepted(4);
        assert_eq!((status.last_error.clone(), status.removed), (None, false));
        assert!(status.line(5_004).contains("5 s ago"));
    }
}
