//! An alert that fired, until it is over.

use osm_protocol::messages::Process;

use crate::domain::{
    DAY, HOUR, MINUTE, Millis,
    alert::{Limits, Rule, Severity},
};

/// What fires again within this time is the same incident, which flaps; and a flapping one is over once it was well for as long.
pub const FLAPPING: Millis = HOUR;
/// What was not acknowledged is repeated after this long, then after twice as long, and so on, up to a day.
const REMIND_AFTER: Millis = 15 * MINUTE;

#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    pub id: String,
    pub chat_id: i64,
    pub server_id: String,
    pub server_name: String,
    pub rule: Rule,
    /// The mount point or unit: hostile text; empty for what a server has one of.
    pub subject: String,
    pub severity: Severity,
    pub limit: f64,
    pub hold: Millis,
    /// The figure that fired.
    pub value: f64,
    /// The biggest processes at that moment, where the host's owner lets it tell. Their names are hostile text.
    pub processes: Vec<Process>,
    pub since: Millis,
    pub opened_at: Millis,
    /// More than once: it flaps.
    pub times: i64,
    pub quiet_since: Option<Millis>,
    pub resolved_at: Option<Millis>,
    pub acked_by: Option<String>,
    pub snoozed_until: Option<Millis>,
    pub remind_at: Option<Millis>,
    pub reminders: i64,
    /// The message that shows it; none while it is muted.
    pub message_id: Option<String>,
    /// The message that told its end.
    pub recovery_id: Option<String>,
}

impl Incident {
    pub fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }

    pub fn is_flapping(&self) -> bool {
        self.times > 1
    }

    /// The limits under which it fired.
    pub fn limits(&self) -> Limits {
        Limits { enabled: true, limit: self.limit, hold: self.hold, severity: self.severity }
    }

    /// Somebody has it: it is not repeated any more.
    pub fn acknowledge(&mut self, by: &str) {
        self.acked_by = Some(by.to_owned());
        self.snoozed_until = None;
        self.remind_at = None;
    }

    /// It is repeated after `until`, unless it is over by then.
    pub fn snooze(&mut self, until: Millis) {
        self.snoozed_until = Some(until);
        self.acked_by = None;
        self.remind_at = Some(until);
        self.reminders = 0;
    }

    /// When it is first repeated, once it was told at `now`.
    pub fn first_reminder(&self, now: Millis) -> Option<Millis> {
        (self.severity == Severity::Critical && self.acked_by.is_none() && self.is_open()).then_some(now + REMIND_AFTER)
    }

    /// It is repeated now; sets when next.
    pub fn remind(&mut self, now: Millis) {
        self.reminders += 1;
        self.snoozed_until = None;
        let doublings = u32::try_from(self.reminders).unwrap_or(u32::MAX).min(10);
        self.remind_at = Some(now + (REMIND_AFTER << doublings).min(DAY));
    }
}

/// Most urgent first: critical, then the oldest.
pub fn by_urgency(a: &Incident, b: &Incident) -> std::cmp::Ordering {
    b.severity.cmp(&a.severity).then(a.opened_at.cmp(&b.opened_at)).then_with(|| a.id.cmp(&b.id))
}
