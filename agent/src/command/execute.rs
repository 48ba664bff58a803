//! A command's way: judged, admitted by the host's own policy, written down, done, and its outcome written down.
//!
//! Only what is truly the backend's and for this agent gets an outcome; anything else is logged and never answered.

use std::cell::RefCell;

use osm_protocol::{
    action::{Action, Chore, Outcome, OutcomeKind, Rejection},
    command::{Command, CommandError, Judge, TOLERANCE_MS},
    envelope::{Envelope, EnvelopeError},
    ids::{CommandId, ServerId},
    key::PublicKey,
};

use crate::{
    command::{
        act,
        ledger::{Ledger, Taken},
    },
    config::{Rates, Settings},
    crash::crash_point,
    host::{
        clock::{self, Clock, Moment},
        systemd::Systemd,
    },
    policy::{
        list::{ListError, UnitList},
        rules::{self, NamedBy},
    },
    text::shorten,
};

const HOUR_MS: u64 = 3_600_000;

/// Who this agent is, to the backend.
#[derive(Clone, Debug)]
pub struct Identity {
    pub server_id: ServerId,
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
    Refuse { jti: CommandId, seq: i64, reason: Rejection, detail: String },
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
            Judged::Refuse { jti, seq, reason, detail } => self.refuse(jti, seq, reason, &detail),
            Judged::Do(command) => self.take_up(&command).await,
        }
    }

    async fn take_up(&self, command: &Command) -> Handled {
        let Command { jti, seq, ref action, .. } = *command;
        if self.ledger.borrow().knows(jti) {
            return self.skip(jti, seq);
        }
        log::info!("command {jti}: {action:?}, asked for by {}", shorten(&command.requested_by, 100));
        let list = UnitList::read(&self.settings.policy_file);
        let admitted = admit(action, self.settings, &self.ledger.borrow(), Moment::now(), list);
        if let Err((reason, detail)) = admitted {
            return self.refuse(jti, seq, reason, &detail);
        }
        crash_point!("command.admitted");
        let due = match action {
            Action::Reboot {} => Some(act::due(self.systemd).await),
            _ => None,
        };
        let taken = Taken { act: Some(action.clone()), due, ..self.taken(jti, seq) };
        if let Err(error) = self.ledger.borrow_mut().take(taken.clone()) {
            log::error!("command {jti} is not done, because it cannot be written down first: {error}");
            return Handled::Ignored;
        }
        let ended = match action {
            Action::CancelReboot { of } => Some(self.call_off(*of).await),
            action => act::act(&taken, action, self.systemd).await,
        };
        crash_point!("command.acted");
        match ended {
            Some(ended) => self.finish(jti, ended),
            None => log::info!("command {jti}: the reboot is scheduled"),
        }
        Handled::Recorded
    }

    /// Calls the reboot off that the command `of` scheduled.
    async fn call_off(&self, of: CommandId) -> act::Ended {
        let due = self.ledger.borrow().open_reboot(&self.identity.key_id).filter(|(jti, _)| *jti == of).map(|(_, due)| due);
        let Some(due) = due else {
            return (OutcomeKind::Failed, None, "there is no such reboot ahead".to_owned());
        };
        let ended = act::call_off(due, self.systemd).await;
        if ended.0 == OutcomeKind::Succeeded {
            self.finish(of, (OutcomeKind::Cancelled, None, "called off from the chat".to_owned()));
        }
        ended
    }

    /// Looks whether the reboot that is ahead still is: whether there is one, and whether its outcome was written down.
    pub async fn watch_reboot(&self) -> (bool, bool) {
        let Some((jti, due)) = self.ledger.borrow().open_reboot(&self.identity.key_id) else { return (false, false) };
        let Some(ended) = act::watch(due, self.systemd).await else { return (true, false) };
        self.finish(jti, ended);
        (false, true)
    }

    fn finish(&self, jti: CommandId, (result, reason, detail): act::Ended) {
        log::info!("command {jti}: {result:?}: {detail}");
        if let Err(error) = self.ledger.borrow_mut().finish(jti, self.outcome(result, reason, &detail)) {
            log::error!("the outcome of command {jti} cannot be written down: {error}");
        }
    }

    fn refuse(&self, jti: CommandId, seq: i64, reason: Rejection, detail: &str) -> Handled {
        if self.ledger.borrow().knows(jti) {
            return self.skip(jti, seq);
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

    /// Passes over a command whose id was used before: it cannot be answered by its name. Its seq is used up.
    fn skip(&self, jti: CommandId, seq: i64) -> Handled {
        log::warn!("command {jti} is passed over: its id was used before");
        match self.ledger.borrow_mut().skip(&self.identity.key_id, seq) {
            Ok(()) => Handled::Recorded,
            Err(error) => {
                log::error!("that cannot be written down: {error}");
                Handled::Ignored
            }
        }
    }

    fn taken(&self, jti: CommandId, seq: i64) -> Taken {
        Taken {
            seq,
            jti,
            key: self.identity.key_id.clone(),
            boot: self.identity.boot.clone(),
            at: Moment::now(),
            act: None,
            due: None,
            delivered: false,
        }
    }

    fn outcome(&self, result: OutcomeKind, reason: Option<Rejection>, detail: &str) -> Outcome {
        Outcome { result, reason, detail: shorten(detail, Outcome::DETAIL_MAX), at: self.clock.now() }
    }
}

/// The envelope's own merits, in the order that SECURITY.md gives. `host_now` judges; `backend_now` only tells a wrong clock here from
/// a command that came too late.
pub fn judge(raw: &[u8], trusted: &[PublicKey], us: &Identity, host_now: i64, backend_now: i64, last_seq: i64) -> Judged {
    let ignore = |why: &dyn std::fmt::Display| Judged::Ignore(shorten(&why.to_string(), 300));
    let envelope = match Envelope::from_slice(raw) {
        Ok(envelope) => envelope,
        Err(error) => return ignore(&error),
    };
    let judge = Judge { trusted, server_id: us.server_id, agent_key: &us.agent_key, now: host_now, last_seq };
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

/// The host's own word: policy, rates, and the unit's or the chore's being on root's list.
fn admit(
    action: &Action,
    settings: &Settings,
    ledger: &Ledger,
    now: Moment,
    list: Result<UnitList, ListError>,
) -> Result<(), (Rejection, String)> {
    if !settings.actions.allow(action) {
        return Err((Rejection::Policy, "agent.toml on the server does not allow this".to_owned()));
    }
    let ages = ledger.ages(now, |past| past == action);
    let rates = &settings.rates;
    let chore = match action {
        Action::RestartService { unit } => {
            rules::check_name(unit, NamedBy::Root).map_err(|never| (Rejection::UnitNotListed, never.to_string()))?;
            check_rate(ages, rates)?;
            return admit_unit(unit, list);
        }
        Action::CancelReboot { .. } => return Ok(()),
        Action::CleanJournal {} => Chore::CleanJournal,
        Action::RunLogrotate {} => Chore::RunLogrotate,
        Action::Reboot {} => Chore::Reboot,
    };
    if chore == Chore::Reboot {
        check_reboots(ages, rates)?;
    } else {
        check_rate(ages, rates)?;
    }
    match list {
        Ok(list) if list.chores.contains(&chore) => Ok(()),
        Ok(_) => {
            Err((Rejection::Unsupported, "root's oneshot on the server does not grant it; there: osm-agent doctor".to_owned()))
        }
        Err(error) => Err((Rejection::Unsupported, error.to_string())),
    }
}

fn admit_unit(unit: &str, list: Result<UnitList, ListError>) -> Result<(), (Rejection, String)> {
    match list {
        Ok(list) if list.contains(unit) => Ok(()),
        Ok(UnitList { unavailable: Some(why), .. }) => Err((Rejection::Unsupported, why)),
        Ok(_) => Err((Rejection::UnitNotListed, format!("allow it on the server, as root: osm-agent policy allow {unit}"))),
        Err(error) => Err((Rejection::UnitNotListed, error.to_string())),
    }
}

fn check_rate(ages: impl Iterator<Item = u64>, rates: &Rates) -> Result<(), (Rejection, String)> {
    let gap = u64::try_from(rates.restart_gap.as_millis()).unwrap_or(u64::MAX);
    let mut within_hour = 0;
    for age in ages {
        if age < gap {
            let ago = duration(i64::try_from(age).unwrap_or(i64::MAX));
            return Err((Rejection::Rate, format!("it was done {ago} ago; once in {} s", gap / 1000)));
        }
        within_hour += u32::from(age < HOUR_MS);
    }
    if within_hour >= rates.restarts_per_hour {
        return Err((Rejection::Rate, format!("{} times an hour are allowed on the server", rates.restarts_per_hour)));
    }
    Ok(())
}

fn check_reboots(ages: impl Iterator<Item = u64>, rates: &Rates) -> Result<(), (Rejection, String)> {
    let within_day = ages.filter(|age| *age < 24 * HOUR_MS).count();
    if within_day >= rates.reboots_per_day as usize {
        return Err((Rejection::Rate, format!("{} reboots a day are allowed on the server", rates.reboots_per_day)));
    }
    Ok(())
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
