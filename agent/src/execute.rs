//! A command's way: judged, admitted by the host's own policy, written down, done, and its outcome written down.
//!
//! Only what is truly the backend's and for this agent gets an outcome; anything else is logged and never answered.

use std::{cell::RefCell, time::Duration};

use osm_protocol::{
    action::{Action, Outcome, OutcomeKind, Rejection},
    command::{Command, CommandError, Judge, TOLERANCE_MS},
    envelope::{Envelope, EnvelopeError},
    key::PublicKey,
};

use crate::{
    clock::{self, Clock},
    config::{Rates, Settings},
    crash::crash_point,
    ledger::{Ledger, Taken},
    policy::{
        list::{ListError, UnitList},
        rules,
    },
    systemd::{JobResult, RestartError, ServiceState, Systemd},
    text::shorten,
};

/// A job that takes longer is left to systemd; what it comes to is seen in the next reports.
const JOB_LIMIT: Duration = Duration::from_mins(5);
/// A simple or exec service counts as started before its program has had time to fail.
const SETTLE: Duration = Duration::from_secs(2);

/// Who this agent is, to the backend.
#[derive(Clone, Debug)]
pub struct Identity {
    pub server_id: String,
    /// The agent's public key, as it stands in `aud`.
    pub agent_key: String,
    /// Its thumbprint, under which the ledger counts.
    pub key_id: String,
    /// Hash of this boot.
    pub boot: String,
}

/// What becomes of an envelope.
#[derive(Debug, PartialEq, Eq)]
pub enum Judged {
    /// Take it up.
    Do(Box<Command>),
    /// Truly the backend's, and refused by name.
    Refuse { jti: String, seq: i64, reason: Rejection, detail: String },
    /// Not answered.
    Ignore(String),
    /// As `Ignore`; perhaps the keys have changed.
    UnknownKey,
}

/// What was learned from an envelope that was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handled {
    /// The ledger has moved on.
    Recorded,
    Ignored,
    UnknownKey,
}

pub struct Executor<'a, S> {
    pub settings: &'a Settings,
    pub identity: &'a Identity,
    pub clock: &'a Clock,
    pub ledger: &'a RefCell<Ledger>,
    pub systemd: &'a S,
}

impl<S: Systemd> Executor<'_, S> {
    /// Takes one envelope all the way. Whatever happens, it happens at most once.
    pub async fn handle(&self, raw: &[u8], trusted: &[PublicKey]) -> Handled {
        let last_seq = self.ledger.borrow().last_seq(&self.identity.key_id);
        match judge(raw, trusted, self.identity, clock::host_now(), self.clock.now(), last_seq) {
            Judged::Ignore(why) => {
                log::warn!("an envelope is not taken up: {why}");
                Handled::Ignored
            }
            Judged::UnknownKey => {
                log::warn!("an envelope is signed by a key that is not trusted here");
                Handled::UnknownKey
            }
            Judged::Refuse { jti, seq, reason, detail } => self.refuse(&jti, seq, reason, &detail),
            Judged::Do(command) => self.take_up(&command).await,
        }
    }

    async fn take_up(&self, command: &Command) -> Handled {
        let Command { jti, seq, action, .. } = command;
        if uuid::Uuid::try_parse(jti).is_err() || self.ledger.borrow().knows(jti) {
            return self.skip(jti, *seq, "its id is no UUID, or was used before");
        }
        log::info!("command {jti}: {action:?}, asked for by {}", shorten(&command.requested_by, 100));
        let list = UnitList::read(&self.settings.policy_file);
        let admitted = admit(action, self.settings, &self.ledger.borrow(), self.clock.now(), list);
        if let Err((reason, detail)) = admitted {
            return self.refuse(jti, *seq, reason, &detail);
        }
        crash_point!("command.admitted");
        let taken = Taken { act: Some(action.clone()), ..self.taken(jti, *seq) };
        if let Err(error) = self.ledger.borrow_mut().take(taken) {
            log::error!("command {jti} is not done, because it cannot be written down first: {error}");
            return Handled::Ignored;
        }
        let (result, reason, detail) = act(action, self.systemd).await;
        crash_point!("command.acted");
        log::info!("command {jti}: {result:?}: {detail}");
        if let Err(error) = self.ledger.borrow_mut().finish(jti, self.outcome(result, reason, &detail)) {
            log::error!("the outcome of command {jti} cannot be written down: {error}");
        }
        Handled::Recorded
    }

    fn refuse(&self, jti: &str, seq: i64, reason: Rejection, detail: &str) -> Handled {
        if uuid::Uuid::try_parse(jti).is_err() || self.ledger.borrow().knows(jti) {
            return self.skip(jti, seq, "its id is no UUID, or was used before");
        }
        log::warn!("command {jti} is refused ({reason:?}): {detail}");
        let outcome = self.outcome(OutcomeKind::Rejected, Some(reason), detail);
        match self.ledger.borrow_mut().refuse(self.taken(jti, seq), outcome) {
            Ok(()) => Handled::Recorded,
            Err(error) => {
                log::error!("that cannot be written down: {error}");
                Handled::Ignored
            }
        }
    }

    /// Passes over a command that cannot be answered by its name; its seq is used up.
    fn skip(&self, jti: &str, seq: i64, why: &str) -> Handled {
        log::warn!("command {} is passed over: {why}", shorten(jti, 64));
        match self.ledger.borrow_mut().skip(&self.identity.key_id, seq) {
            Ok(()) => Handled::Recorded,
            Err(error) => {
                log::error!("that cannot be written down: {error}");
                Handled::Ignored
            }
        }
    }

    fn taken(&self, jti: &str, seq: i64) -> Taken {
        Taken {
            seq,
            jti: jti.to_owned(),
            key: self.identity.key_id.clone(),
            boot: self.identity.boot.clone(),
            at: self.clock.now(),
            act: None,
            delivered: false,
        }
    }

    fn outcome(&self, result: OutcomeKind, reason: Option<Rejection>, detail: &str) -> Outcome {
        Outcome { result, reason, detail: shorten(detail, Outcome::DETAIL_MAX), at: self.clock.now() }
    }
}

/// The envelope's own merits, in the order of DESIGN §2. `host_now` judges; `backend_now` only tells a wrong clock here from
/// a command that came too late.
pub fn judge(raw: &[u8], trusted: &[PublicKey], us: &Identity, host_now: i64, backend_now: i64, last_seq: i64) -> Judged {
    let ignore = |why: &dyn std::fmt::Display| Judged::Ignore(shorten(&why.to_string(), 300));
    let envelope = match Envelope::from_slice(raw) {
        Ok(envelope) => envelope,
        Err(error) => return ignore(&error),
    };
    let judge = Judge { trusted, server_id: &us.server_id, agent_key: &us.agent_key, now: host_now, last_seq };
    match judge.judge(&envelope) {
        Ok(command) => Judged::Do(Box::new(command)),
        // A replay past its time must not override the outcome it once had.
        Err(CommandError::NotNow { command, .. }) if command.seq <= last_seq => {
            ignore(&CommandError::Replayed { seq: command.seq, last: last_seq })
        }
        Err(CommandError::NotNow { command, now }) => {
            let would_hold =
                (command.nbf.saturating_sub(TOLERANCE_MS)..=command.exp.saturating_add(TOLERANCE_MS)).contains(&backend_now);
            let ahead = now - backend_now;
            let (reason, detail) = if would_hold {
                (Rejection::Clock, format!("this server's clock is {} off; set it right (timedatectl)", duration(ahead)))
            } else if now < command.nbf {
                (Rejection::Clock, "it is not valid yet".to_owned())
            } else {
                (Rejection::Expired, "it came too late".to_owned())
            };
            Judged::Refuse { jti: command.jti, seq: command.seq, reason, detail }
        }
        Err(CommandError::Unknown { header, problem }) => {
            let detail = format!("this agent ({}) does not know it: {problem}", env!("CARGO_PKG_VERSION"));
            Judged::Refuse { jti: header.jti, seq: header.seq, reason: Rejection::Unknown, detail }
        }
        Err(CommandError::Envelope(EnvelopeError::UnknownKey)) => Judged::UnknownKey,
        Err(error) => ignore(&error),
    }
}

/// The host's own word: policy, rates, and the unit's being on the list.
fn admit(
    action: &Action,
    settings: &Settings,
    ledger: &Ledger,
    now: i64,
    list: Result<UnitList, ListError>,
) -> Result<(), (Rejection, String)> {
    if !settings.actions.allow(action) {
        return Err((Rejection::Policy, "agent.toml on the server does not allow this".to_owned()));
    }
    let Action::RestartService { unit } = action else {
        return Err((Rejection::Unsupported, format!("agent {} cannot do this yet", env!("CARGO_PKG_VERSION"))));
    };
    if let Err(never) = rules::check_name(unit, true) {
        return Err((Rejection::UnitNotListed, never.to_string()));
    }
    let past = ledger.past(|past| matches!(past, Action::RestartService { unit: other } if other == unit));
    check_rate(past, now, &settings.rates)?;
    match list {
        Ok(list) if list.contains(unit) => Ok(()),
        Ok(UnitList { unavailable: Some(why), .. }) => Err((Rejection::Unsupported, why)),
        Ok(_) => Err((Rejection::UnitNotListed, format!("allow it on the server, as root: osm-agent policy allow {unit}"))),
        Err(error) => Err((Rejection::UnitNotListed, error.to_string())),
    }
}

fn check_rate(past: impl Iterator<Item = i64>, now: i64, rates: &Rates) -> Result<(), (Rejection, String)> {
    let gap = u64::try_from(rates.restart_gap.as_millis()).unwrap_or(u64::MAX);
    let mut within_hour = 0;
    for at in past {
        // Ahead of now after the clock was set back: it counts as long as it would have.
        let age = at.abs_diff(now);
        if age < gap {
            return Err((
                Rejection::Rate,
                format!("it was restarted {} ago; one restart in {} s", duration(now - at), gap / 1000),
            ));
        }
        within_hour += u32::from(age < 3_600_000);
    }
    if within_hour >= rates.restarts_per_hour {
        return Err((Rejection::Rate, format!("{} restarts an hour are allowed on the server", rates.restarts_per_hour)));
    }
    Ok(())
}

async fn act(action: &Action, systemd: &impl Systemd) -> (OutcomeKind, Option<Rejection>, String) {
    match action {
        Action::RestartService { unit } => restart(unit, systemd).await,
        Action::CleanJournal {} | Action::RunLogrotate {} | Action::Reboot {} | Action::CancelReboot { .. } => {
            (OutcomeKind::Rejected, Some(Rejection::Unsupported), "this agent cannot do this yet".to_owned())
        }
    }
}

async fn restart(unit: &str, systemd: &impl Systemd) -> (OutcomeKind, Option<Rejection>, String) {
    let job = match tokio::time::timeout(JOB_LIMIT, systemd.restart(unit)).await {
        Ok(Ok(job)) => job,
        Ok(Err(error @ RestartError::Unavailable(_))) => {
            return (OutcomeKind::Rejected, Some(Rejection::Unsupported), error.to_string());
        }
        Ok(Err(error @ RestartError::Denied)) => {
            let detail = format!("{error}; on the server, as root: osm-agent policy apply");
            return (OutcomeKind::Rejected, Some(Rejection::Unsupported), detail);
        }
        Ok(Err(RestartError::Refused(why))) => return (OutcomeKind::Failed, None, why),
        Ok(Err(error @ RestartError::Lost(_))) => return (OutcomeKind::Indeterminate, None, error.to_string()),
        Err(_) => {
            let detail = format!("systemd is still at it after {} minutes", JOB_LIMIT.as_secs() / 60);
            return (OutcomeKind::Indeterminate, None, detail);
        }
    };
    if job == JobResult::Done {
        tokio::time::sleep(SETTLE).await;
    }
    match systemd.state(unit).await {
        Ok(state) => {
            let (result, detail) = outcome_of(&job, &state);
            (result, None, detail)
        }
        Err(error) => (OutcomeKind::Indeterminate, None, format!("the restart was done, then: {error}")),
    }
}

/// What a job's result and the service's state some seconds later come to.
fn outcome_of(job: &JobResult, state: &ServiceState) -> (OutcomeKind, String) {
    let now = format!("{} ({})", state.active_state, state.sub_state);
    let now = reason(state).map_or_else(|| now.clone(), |reason| format!("{now}: {reason}"));
    let job = match job {
        JobResult::Done => {
            let runs = matches!(state.active_state.as_str(), "active" | "reloading" | "refreshing");
            let ran = state.kind == "oneshot" && state.active_state == "inactive" && state.result == "success";
            return match (runs && state.restarts == 0 || ran, runs) {
                (true, _) => (OutcomeKind::Succeeded, now),
                (false, true) => (OutcomeKind::Failed, format!("{now}; it has ended {} times since", state.restarts)),
                (false, false) if state.active_state == "inactive" => {
                    (OutcomeKind::Failed, format!("{now}: it started and ended at once"))
                }
                (false, false) => (OutcomeKind::Failed, now),
            };
        }
        JobResult::Other(result) => match result.as_str() {
            "canceled" => "another request took this one's place",
            "timeout" => "it took too long",
            "dependency" => "a unit that it needs failed",
            "skipped" => "systemd skipped it",
            "failed" => return (OutcomeKind::Failed, now),
            other => return (OutcomeKind::Failed, format!("{now} (the job's result: {other})")),
        },
    };
    (OutcomeKind::Failed, format!("{job}; now {now}"))
}

/// `exit-code, status 1`, `signal 9`, `oom-kill`: why a service's last run ended, when it did not end well.
fn reason(state: &ServiceState) -> Option<String> {
    if state.result.is_empty() || state.result == "success" {
        return None;
    }
    Some(match (state.exit_code, state.exit_status) {
        (1, status) if status != 0 => format!("{}, status {status}", state.result),
        (2 | 3, signal) => format!("{}, signal {signal}", state.result),
        _ => state.result.clone(),
    })
}

/// A length of time for a person: the largest fitting unit.
pub fn duration(ms: i64) -> String {
    let seconds = ms.unsigned_abs().div_ceil(1000);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
#[path = "execute_tests.rs"]
mod tests;
