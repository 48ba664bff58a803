//! A reboot: scheduled with logind a minute ahead, and watched until the next boot proves it.
//!
//! Times are milliseconds since the Unix epoch by this host's clock, as logind has them.

use osm_protocol::action::OutcomeKind;
use serde::{Deserialize, Serialize};

use super::ended::Ended;
use crate::{
    host::systemd::{Shutdown, Systemd},
    text::duration,
};

/// Between the command and the reboot: time to call it off.
const AHEAD_MS: i64 = 60_000;
/// A server that has not rebooted by then will not.
const LATE_MS: i64 = 600_000;
/// logind takes what it has scheduled off when it begins.
const BEGINS_MS: i64 = 2_000;

/// A reboot that is ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    pub at: i64,
    /// When the init of this boot began, as [`Systemd::init_started`] says it. In a container the kernel's boot id may be that of
    /// its host.
    pub init: Option<u64>,
}

impl Due {
    /// Plans a reboot that is taken up now.
    pub async fn plan(now: i64, systemd: &impl Systemd) -> Self {
        Self { at: now + AHEAD_MS, init: systemd.init_started().await.ok() }
    }
}

/// Schedules the reboot. What somebody on the host has scheduled is neither replaced nor cancelled.
pub async fn schedule(due: Due, now: i64, systemd: &impl Systemd) -> Result<(), Ended> {
    if let Some(Shutdown { kind, at }) = systemd.scheduled_shutdown().await? {
        let ahead = duration(at - now);
        return Err(Ended::failed(format!("somebody on the server has scheduled a {kind} in {ahead}; it stays")));
    }
    Ok(systemd.schedule_reboot(due.at).await?)
}

/// Takes back the reboot that is due then, and only that one.
pub async fn call_off(due: Due, systemd: &impl Systemd) -> Ended {
    match systemd.scheduled_shutdown().await {
        Ok(Some(shutdown)) if is_ours(&shutdown, due) => match systemd.cancel_shutdown().await {
            Ok(()) => Ended::succeeded("the reboot is called off"),
            Err(error) => error.into(),
        },
        Ok(_) => Ended::failed("that reboot is not scheduled any more"),
        Err(error) => error.into(),
    }
}

/// Tells how a scheduled reboot has ended; `None` while it may still come. Another boot by the kernel's own word is not looked
/// for here: the ledger sees that when it is opened.
pub async fn watch(due: Due, now: i64, systemd: &impl Systemd) -> Option<Ended> {
    if let (Some(before), Ok(init)) = (due.init, systemd.init_started().await)
        && before != init
    {
        return Some(proven(due, now));
    }
    let late = now - due.at;
    if late > LATE_MS {
        return Some(Ended::failed("the server has not rebooted in the 10 minutes after it was due"));
    }
    if late >= -BEGINS_MS {
        return None;
    }
    let scheduled = systemd.scheduled_shutdown().await.ok()?;
    let still_ours = scheduled.is_some_and(|shutdown| is_ours(&shutdown, due));
    (!still_ours).then(|| Ended::new(OutcomeKind::Cancelled, "called off on the server"))
}

/// Tells how a reboot has ended that another boot proves.
pub fn proven(due: Due, now: i64) -> Ended {
    Ended::succeeded(match now - due.at {
        // Clocks may have jumped on the way.
        took @ 0..86_400_000 => format!("back after {}", duration(took)),
        _ => "rebooted".to_owned(),
    })
}

fn is_ours(shutdown: &Shutdown, due: Due) -> bool {
    shutdown.kind == "reboot" && shutdown.at == due.at
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::systemd::fake::Fake;

    const NOW: i64 = 1_800_000_000_000;

    async fn scheduled(systemd: &Fake) -> Due {
        let due = Due::plan(NOW, systemd).await;
        schedule(due, NOW, systemd).await.unwrap();
        due
    }

    #[tokio::test]
    async fn a_reboot_that_does_not_come_is_called_late_ten_minutes_after_it_was_due() {
        let systemd = Fake::default();
        let due = scheduled(&systemd).await;
        assert_eq!(due.at, NOW + AHEAD_MS);
        for waiting in [NOW, due.at - BEGINS_MS, due.at, due.at + LATE_MS] {
            assert_eq!(watch(due, waiting, &systemd).await, None, "{waiting}");
        }
        let late = watch(due, due.at + LATE_MS + 1, &systemd).await.unwrap();
        assert_eq!(late, Ended::failed("the server has not rebooted in the 10 minutes after it was due"));
    }

    #[tokio::test]
    async fn logind_taking_it_off_as_it_begins_is_no_cancellation() {
        let systemd = Fake::default();
        let due = scheduled(&systemd).await;
        *systemd.shutdown.borrow_mut() = None;
        assert_eq!(watch(due, due.at - BEGINS_MS, &systemd).await, None);
        let before = watch(due, due.at - BEGINS_MS - 1, &systemd).await.unwrap();
        assert_eq!(before.result, OutcomeKind::Cancelled);
    }

    #[test]
    fn a_proof_across_a_clock_that_jumped_names_no_time() {
        let due = Due { at: NOW, init: None };
        assert_eq!(proven(due, NOW + 41_000).detail, "back after 41 s");
        assert_eq!(proven(due, NOW - 1).detail, "rebooted");
        assert_eq!(proven(due, NOW + 86_400_000).detail, "rebooted");
    }
}
