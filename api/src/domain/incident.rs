//! An alert that fired, until it is over.

use osm_protocol::messages::Process;

use crate::domain::{
    DAY, HOUR, MINUTE, Millis,
    alert::{Limits, Rule, Severity},
    ids::{ChatId, IncidentId, MessageId, ServerId},
};

/// What fires again within this time comes and goes.
pub const FLAPPING: Millis = HOUR;
/// What came and went is over once it was well for this long; for twice as long the next time, up to an hour.
const CALM: Millis = 15 * MINUTE;
/// What was not acknowledged is repeated after this long, then after twice as long, and so on, up to a day.
const REMIND_AFTER: Millis = 15 * MINUTE;

#[derive(Clone, Debug, PartialEq)]
pub struct Incident {
    pub id: IncidentId,
    pub chat_id: ChatId,
    pub server_id: ServerId,
    pub server_name: String,
    pub rule: Rule,
    /// The mount point or unit: hostile text; empty for what a server has one of.
    pub subject: String,
    /// Those under which it fired.
    pub limits: Limits,
    /// The figure that fired.
    pub value: f64,
    /// The biggest processes at that moment, where the host's owner lets it tell. Their names are hostile text.
    pub processes: Vec<Process>,
    pub since: Millis,
    pub opened_at: Millis,
    /// More than once: it comes and goes.
    pub times: i64,
    /// It came and went, and has been well since then.
    pub quiet_since: Option<Millis>,
    /// When it is over, if it stays well.
    pub calm_at: Option<Millis>,
    pub resolved_at: Option<Millis>,
    pub acked_by: Option<String>,
    pub snoozed_until: Option<Millis>,
    pub remind_at: Option<Millis>,
    pub reminders: i64,
    /// The message that shows it; none while it is muted.
    pub message_id: Option<MessageId>,
    pub end: EndTold,
}

/// What the chat was told of an alert's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndTold {
    /// Nothing: it has not ended, or its end is still to be told.
    NotYet,
    /// Nothing, and nobody is to be told.
    Never,
    /// By this message.
    By(MessageId),
}

/// What fired, and where.
#[derive(Clone, Debug)]
pub struct Firing<'a> {
    pub chat_id: ChatId,
    pub server_id: ServerId,
    pub server_name: &'a str,
    pub rule: Rule,
    pub subject: &'a str,
    pub limits: Limits,
    pub value: f64,
    pub since: Millis,
    pub processes: Vec<Process>,
}

impl Incident {
    /// `times`: how often it has fired now.
    pub fn begin(id: IncidentId, firing: Firing<'_>, times: i64, now: Millis) -> Self {
        // A reboot is over when it is seen, and that is no news.
        let is_over = firing.rule == Rule::Reboot;
        Self {
            id,
            chat_id: firing.chat_id,
            server_id: firing.server_id,
            server_name: firing.server_name.to_owned(),
            rule: firing.rule,
            subject: firing.subject.to_owned(),
            limits: firing.limits,
            value: firing.value,
            processes: firing.processes,
            since: firing.since,
            opened_at: now,
            times,
            quiet_since: None,
            calm_at: None,
            resolved_at: is_over.then_some(now),
            acked_by: None,
            snoozed_until: None,
            remind_at: None,
            reminders: 0,
            message_id: None,
            end: if is_over { EndTold::Never } else { EndTold::NotYet },
        }
    }

    pub fn is_open(&self) -> bool {
        self.resolved_at.is_none()
    }

    pub fn is_flapping(&self) -> bool {
        self.times > 1
    }

    pub fn is_snoozed(&self, now: Millis) -> bool {
        self.snoozed_until.is_some_and(|until| until > now)
    }

    /// Tells whether one that fires now is the same one again, to be shown where it is shown already.
    pub fn takes_in_more(&self) -> bool {
        self.is_open() || (self.rule == Rule::Reboot && self.is_flapping())
    }

    /// It came and went, and is back. After a calm, whoever had it has done with it.
    pub fn fires_again(&mut self, firing: Firing<'_>, now: Millis) {
        self.times += 1;
        self.value = firing.value;
        self.processes = firing.processes;
        self.limits = firing.limits;
        let was_calm = self.quiet_since.take().is_some_and(|since| now - since >= CALM);
        self.calm_at = None;
        if self.rule == Rule::Reboot {
            self.since = firing.since;
            self.resolved_at = Some(now);
        } else if was_calm && !self.is_snoozed(now) {
            self.acked_by = None;
            self.reminders = 0;
            self.remind_at = self.first_reminder(now);
        }
    }

    /// It is well, and comes and goes: the more often it did, the longer it has to stay well before that is believed.
    pub fn becomes_quiet(&mut self, now: Millis) {
        let doublings = u32::try_from(self.times - 2).unwrap_or(0).min(10);
        self.quiet_since = Some(now);
        self.calm_at = Some(now + (CALM << doublings).min(FLAPPING));
    }

    pub fn end(&mut self, now: Millis) {
        self.resolved_at = Some(self.quiet_since.unwrap_or(now));
        self.remind_at = None;
    }

    /// Notes the message that tells of it.
    pub fn tell_in(&mut self, message_id: MessageId, now: Millis) {
        self.message_id = Some(message_id);
        self.remind_at = self.first_reminder(now);
    }

    /// Notes who looks after it: reminders end.
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

    fn first_reminder(&self, now: Millis) -> Option<Millis> {
        (self.limits.severity == Severity::Critical && self.acked_by.is_none() && self.is_open()).then_some(now + REMIND_AFTER)
    }

    /// It is repeated now; sets when next. A warning was only snoozed, and is repeated once.
    pub fn remind(&mut self, now: Millis) {
        self.reminders += 1;
        self.snoozed_until = None;
        let doublings = u32::try_from(self.reminders).unwrap_or(u32::MAX).min(10);
        self.remind_at = (self.limits.severity == Severity::Critical).then_some(now + (REMIND_AFTER << doublings).min(DAY));
    }

    /// It could not be heard of yet: whoever hears of it has time to see to it.
    pub fn remind_later(&mut self, now: Millis) {
        self.remind_at = Some(now + REMIND_AFTER);
    }

    /// Nobody has seen to it, and it was said that this would be repeated.
    pub fn is_unseen(&self, now: Millis) -> bool {
        let is_wrong = self.is_open() && self.quiet_since.is_none() && self.message_id.is_some();
        let is_repeated = self.limits.severity == Severity::Critical || self.reminders > 0;
        is_wrong && is_repeated && self.acked_by.is_none() && !self.is_snoozed(now)
    }
}

/// Most urgent first: critical, then the oldest.
pub fn by_urgency(a: &Incident, b: &Incident) -> std::cmp::Ordering {
    let severity = b.limits.severity.cmp(&a.limits.severity);
    severity.then(a.opened_at.cmp(&b.opened_at)).then_with(|| a.id.cmp(&b.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn firing(rule: Rule) -> Firing<'static> {
        let limits = rule.default_limits();
        Firing {
            chat_id: ChatId(1),
            server_id: ID.parse().unwrap(),
            server_name: "web-1",
            rule,
            subject: "",
            limits,
            value: 97.0,
            since: 0,
            processes: vec![],
        }
    }

    fn told(rule: Rule) -> Incident {
        let mut incident = Incident::begin(ID.parse().unwrap(), firing(rule), 1, 0);
        incident.tell_in(ID.parse().unwrap(), 0);
        incident
    }

    #[test]
    fn a_critical_one_is_repeated_ever_more_rarely_and_a_warning_only_after_a_snooze() {
        let mut critical = told(Rule::Disk);
        let mut waits = Vec::new();
        for _ in 0..9 {
            let now = critical.remind_at.unwrap();
            assert!(critical.is_unseen(now));
            critical.remind(now);
            waits.push((critical.remind_at.unwrap() - now) / MINUTE);
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 960, 1440, 1440, 1440]);

        let mut warning = told(Rule::Cpu);
        assert_eq!((warning.remind_at, warning.is_unseen(1)), (None, false));
        warning.snooze(HOUR);
        assert!(!warning.is_unseen(HOUR - 1));
        warning.remind(HOUR);
        assert!(warning.is_unseen(HOUR));
        assert_eq!(warning.remind_at, None);
    }

    #[test]
    fn who_has_it_is_not_reminded_and_a_snooze_takes_it_back() {
        let mut incident = told(Rule::Disk);
        incident.acknowledge("Anna");
        assert_eq!((incident.remind_at, incident.is_unseen(DAY)), (None, false));
        incident.snooze(DAY);
        assert_eq!((incident.acked_by.clone(), incident.remind_at), (None, Some(DAY)));
        incident.acknowledge("Boris");
        assert!(!incident.is_snoozed(0));
    }

    #[test]
    fn what_is_back_after_a_calm_is_nobodys_any_more() {
        let mut incident = told(Rule::Service);
        incident.acknowledge("Anna");
        incident.fires_again(firing(Rule::Service), MINUTE);
        incident.becomes_quiet(2 * MINUTE);
        incident.fires_again(firing(Rule::Service), 10 * MINUTE);
        assert_eq!(incident.acked_by.as_deref(), Some("Anna"), "it only flaps");
        incident.becomes_quiet(20 * MINUTE);
        incident.fires_again(firing(Rule::Service), 40 * MINUTE);
        assert_eq!((incident.acked_by, incident.remind_at, incident.times), (None, Some(55 * MINUTE), 4));
    }

    #[test]
    fn the_more_often_it_came_and_went_the_longer_it_has_to_stay_well() {
        let mut incident = told(Rule::Service);
        let mut calms = Vec::new();
        for _ in 0..5 {
            incident.fires_again(firing(Rule::Service), 0);
            incident.becomes_quiet(0);
            calms.push(incident.calm_at.unwrap() / MINUTE);
        }
        assert_eq!(calms, [15, 30, 60, 60, 60]);
        incident.end(HOUR);
        assert_eq!(incident.resolved_at, Some(0), "it was over when it became well");
    }

    #[test]
    fn a_reboot_is_over_at_once_and_a_third_one_within_the_hour_is_the_second_again() {
        let first = told(Rule::Reboot);
        assert!(!first.is_open() && !first.takes_in_more());
        let mut second = Incident::begin(ID.parse().unwrap(), firing(Rule::Reboot), 2, MINUTE);
        assert!(second.takes_in_more());
        second.fires_again(Firing { since: 5, ..firing(Rule::Reboot) }, 2 * MINUTE);
        assert_eq!((second.times, second.since, second.resolved_at), (3, 5, Some(2 * MINUTE)));
    }
}
