//! What is done for an action, and how it ended.

use std::{path::Path, time::Duration};

use osm_protocol::action::{Action, OutcomeKind, Rejection};

use crate::{
    command::{
        execute::duration,
        ledger::{Due, Taken},
    },
    host::{
        clock, journal,
        systemd::{ActError, JobResult, ServiceState, Shutdown, Systemd},
    },
    policy::{JOURNAL_UNIT, LOGROTATE_UNIT},
};

/// A simple or exec service counts as started before its program has had time to fail.
const SETTLE: Duration = Duration::from_secs(2);
/// Between the command and the reboot: time to call it off.
pub const REBOOT_AHEAD_MS: i64 = 60_000;
/// A server that has not rebooted by then will not.
const REBOOT_LATE_MS: i64 = 600_000;
/// logind takes what it has scheduled off when it begins.
const REBOOT_BEGINS_MS: i64 = 2_000;

pub type Ended = (OutcomeKind, Option<Rejection>, String);

/// Does it. `None`: a reboot is scheduled; the next boot, or [`watch`], tells how that ended.
pub async fn act(taken: &Taken, action: &Action, systemd: &impl Systemd) -> Option<Ended> {
    match action {
        Action::RestartService { unit } => Some(restart(unit, systemd).await),
        Action::CleanJournal {} => Some(clean_journal(systemd, Path::new(journal::FREED)).await),
        Action::RunLogrotate {} => Some(oneshot(LOGROTATE_UNIT, systemd).await),
        Action::Reboot {} => match taken.due {
            Some(due) => schedule(due.at, systemd).await.err(),
            None => None,
        },
        // The executor knows which one.
        Action::CancelReboot { .. } => None,
    }
}

async fn clean_journal(systemd: &impl Systemd, freed: &Path) -> Ended {
    let (result, reason, detail) = oneshot(JOURNAL_UNIT, systemd).await;
    let detail = match journal::freed(freed) {
        Some(bytes) if result == OutcomeKind::Succeeded => format!("{} freed", megabytes(bytes)),
        _ => detail,
    };
    (result, reason, detail)
}

/// Runs one of root's oneshots to its end.
async fn oneshot(unit: &str, systemd: &impl Systemd) -> Ended {
    match systemd.state(unit).await {
        // A restart would kill the one that runs.
        Ok(state) if state.active_state == "activating" => {
            (OutcomeKind::Failed, None, "it is running already; wait for its end".to_owned())
        }
        Ok(_) => match restart(unit, systemd).await {
            (OutcomeKind::Succeeded, reason, _) => (OutcomeKind::Succeeded, reason, "done".to_owned()),
            failed => failed,
        },
        Err(error) => not_done(error.into()),
    }
}

/// A reboot that is taken up now.
pub async fn due(systemd: &impl Systemd) -> Due {
    Due { at: clock::host_now() + REBOOT_AHEAD_MS, init: systemd.init_started().await.ok() }
}

async fn schedule(due: i64, systemd: &impl Systemd) -> Result<(), Ended> {
    match systemd.scheduled_shutdown().await {
        Ok(Some(Shutdown { kind, at })) => {
            let ahead = duration(at - clock::host_now());
            return Err((
                OutcomeKind::Failed,
                None,
                format!("somebody on the server has scheduled a {kind} in {ahead}; it stays"),
            ));
        }
        Ok(None) => {}
        Err(error) => return Err(not_done(error.into())),
    }
    systemd.schedule_reboot(due).await.map_err(not_done)
}

/// Takes back the reboot that is due then, and only that one.
pub async fn call_off(due: Due, systemd: &impl Systemd) -> Ended {
    match systemd.scheduled_shutdown().await {
        Ok(Some(shutdown)) if is_ours(&shutdown, due.at) => match systemd.cancel_shutdown().await {
            Ok(()) => (OutcomeKind::Succeeded, None, "the reboot is called off".to_owned()),
            Err(error) => not_done(error),
        },
        Ok(_) => (OutcomeKind::Failed, None, "that reboot is not scheduled any more".to_owned()),
        Err(error) => not_done(error.into()),
    }
}

fn is_ours(shutdown: &Shutdown, due: i64) -> bool {
    shutdown.kind == "reboot" && shutdown.at == due
}

/// How a scheduled reboot has ended; `None` while it may still come. That this is another boot by the kernel's own word the
/// ledger has seen already.
pub async fn watch(due: Due, systemd: &impl Systemd) -> Option<Ended> {
    let now = clock::host_now();
    if let (Some(before), Ok(init)) = (due.init, systemd.init_started().await)
        && before != init
    {
        return Some(rebooted(due.at, now));
    }
    let late = now - due.at;
    if late > REBOOT_LATE_MS {
        return Some((OutcomeKind::Failed, None, "the server has not rebooted in the 10 minutes after it was due".to_owned()));
    }
    match systemd.scheduled_shutdown().await {
        Ok(scheduled) if late < -REBOOT_BEGINS_MS && !scheduled.as_ref().is_some_and(|shutdown| is_ours(shutdown, due.at)) => {
            Some((OutcomeKind::Cancelled, None, "called off on the server".to_owned()))
        }
        _ => None,
    }
}

/// The reboot is proven: this is another boot.
pub fn rebooted(due: i64, now: i64) -> Ended {
    let detail = match now - due {
        // Clocks may have jumped on the way.
        took @ 0..86_400_000 => format!("back after {}", duration(took)),
        _ => "rebooted".to_owned(),
    };
    (OutcomeKind::Succeeded, None, detail)
}

/// What a call that did not work comes to.
fn not_done(error: ActError) -> Ended {
    let unsupported = |detail| (OutcomeKind::Rejected, Some(Rejection::Unsupported), detail);
    match error {
        ActError::Refused(why) => (OutcomeKind::Failed, None, why),
        ActError::Lost(_) => (OutcomeKind::Indeterminate, None, error.to_string()),
        ActError::Denied => unsupported(format!("{error}; on the server, as root: osm-agent policy apply")),
        ActError::Unavailable(_) => unsupported(error.to_string()),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

pub async fn restart(unit: &str, systemd: &impl Systemd) -> Ended {
    let job = match systemd.restart(unit).await {
        Ok(job) => job,
        Err(error) => return not_done(error),
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
pub fn outcome_of(job: &JobResult, state: &ServiceState) -> (OutcomeKind, String) {
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
