//! Restarting a service, and telling how that ended.

use std::time::Duration;

use osm_protocol::action::OutcomeKind;

use super::ended::Ended;
use crate::host::systemd::{JobResult, ServiceState, Systemd};

/// A simple or exec service counts as started before its program has had time to fail.
const SETTLE: Duration = Duration::from_secs(2);

/// Restarts a service and looks at it a moment after the job's end.
pub async fn restart(unit: &str, systemd: &impl Systemd) -> Ended {
    let job = match systemd.restart(unit).await {
        Ok(job) => job,
        Err(error) => return error.into(),
    };
    if job == JobResult::Done {
        tokio::time::sleep(SETTLE).await;
    }
    match systemd.state(unit).await {
        Ok(state) => after(&job, &state),
        Err(error) => Ended::new(OutcomeKind::Indeterminate, format!("the restart was done, then: {error}")),
    }
}

/// Makes one sentence of a job's result and the service's state after it.
fn after(job: &JobResult, state: &ServiceState) -> Ended {
    match job {
        JobResult::Done => after_done(state),
        JobResult::Other(result) => after_other(result, &described(state)),
    }
}

fn after_done(state: &ServiceState) -> Ended {
    let now = described(state);
    if runs(state) {
        return match state.restarts {
            0 => Ended::succeeded(now),
            restarts => Ended::failed(format!("{now}; it has ended {restarts} times since")),
        };
    }
    if state.active_state != "inactive" {
        return Ended::failed(now);
    }
    if state.kind == "oneshot" && state.result == "success" {
        return Ended::succeeded(now);
    }
    Ended::failed(format!("{now}: it started and ended at once"))
}

/// Explains a job that was not done, by the word that systemd has for it.
fn after_other(result: &str, now: &str) -> Ended {
    let why = match result {
        "failed" => return Ended::failed(now),
        "canceled" => "another request took this one's place",
        "timeout" => "it took too long",
        "dependency" => "a unit that it needs failed",
        "skipped" => "systemd skipped it",
        other => return Ended::failed(format!("{now} (the job's result: {other})")),
    };
    Ended::failed(format!("{why}; now {now}"))
}

fn runs(state: &ServiceState) -> bool {
    matches!(state.active_state.as_str(), "active" | "reloading" | "refreshing")
}

/// Describes a service: `active (running)`, `failed (failed): exit-code, status 1`.
fn described(state: &ServiceState) -> String {
    let now = format!("{} ({})", state.active_state, state.sub_state);
    match reason(state) {
        Some(reason) => format!("{now}: {reason}"),
        None => now,
    }
}

/// Says why a service's last run ended, when it did not end well: `exit-code, status 1`, `signal 9`, `oom-kill`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::systemd::{
        ActError, Unavailable,
        fake::{Fake, state},
    };
    use osm_protocol::action::Rejection;

    #[tokio::test(start_paused = true)]
    async fn what_systemd_cannot_do_is_told_from_what_failed_and_what_nobody_saw() {
        for (job, result, reason) in [
            (Err(ActError::Unavailable(Unavailable::Absent)), OutcomeKind::Rejected, Some(Rejection::Unsupported)),
            (Err(ActError::Denied), OutcomeKind::Rejected, Some(Rejection::Unsupported)),
            (Err(ActError::Refused("Unit x.service not found.".to_owned())), OutcomeKind::Failed, None),
            (Err(ActError::Lost("x".to_owned())), OutcomeKind::Indeterminate, None),
            (Ok(JobResult::Other("canceled".to_owned())), OutcomeKind::Failed, None),
            (Ok(JobResult::Done), OutcomeKind::Succeeded, None),
        ] {
            let fake = Fake { job: job.clone(), states: vec![state("active", "running", "success")].into(), ..Fake::default() };
            let ended = restart("x.service", &fake).await;
            assert_eq!((ended.result, ended.reason), (result, reason), "{job:?}");
        }
        let unseen = Fake { states: vec![].into(), ..Fake::default() };
        assert_eq!(restart("x.service", &unseen).await.result, OutcomeKind::Indeterminate);
    }

    #[test]
    fn a_jobs_result_and_the_state_after_it_become_one_sentence() {
        let done = JobResult::Done;
        let failed = ServiceState { exit_code: 1, exit_status: 1, ..state("failed", "failed", "exit-code") };
        let looping = ServiceState { exit_code: 1, exit_status: 203, ..state("activating", "auto-restart", "exit-code") };
        let killed = ServiceState { exit_code: 2, exit_status: 9, ..state("failed", "failed", "signal") };
        let crashed = ServiceState { restarts: 3, ..state("active", "running", "success") };
        let oneshot = |result| ServiceState { kind: "oneshot".to_owned(), ..state("inactive", "dead", result) };
        for (job, state, ended) in [
            (&done, state("active", "running", "success"), Ended::succeeded("active (running)")),
            (&done, state("active", "exited", "success"), Ended::succeeded("active (exited)")),
            (&done, oneshot("success"), Ended::succeeded("inactive (dead)")),
            (&done, oneshot("oom-kill"), Ended::failed("inactive (dead): oom-kill: it started and ended at once")),
            (&done, failed.clone(), Ended::failed("failed (failed): exit-code, status 1")),
            (&done, looping, Ended::failed("activating (auto-restart): exit-code, status 203")),
            (&done, killed, Ended::failed("failed (failed): signal, signal 9")),
            (&done, crashed, Ended::failed("active (running); it has ended 3 times since")),
            (&done, state("inactive", "dead", "success"), Ended::failed("inactive (dead): it started and ended at once")),
            (&JobResult::Other("failed".to_owned()), failed, Ended::failed("failed (failed): exit-code, status 1")),
            (
                &JobResult::Other("dependency".to_owned()),
                state("inactive", "dead", "success"),
                Ended::failed("a unit that it needs failed; now inactive (dead)"),
            ),
            (
                &JobResult::Other("timeout".to_owned()),
                state("failed", "failed", "timeout"),
                Ended::failed("it took too long; now failed (failed): timeout"),
            ),
            (
                &JobResult::Other("assert".to_owned()),
                state("inactive", "dead", "success"),
                Ended::failed("inactive (dead) (the job's result: assert)"),
            ),
        ] {
            assert_eq!(after(job, &state), ended);
        }
    }
}
