//! Root's oneshots: the agent may restart them, and passes them nothing.

use std::path::Path;

use osm_protocol::action::OutcomeKind;

use super::{ended::Ended, restart::restart};
use crate::{
    host::{journal, systemd::Systemd},
    policy::{JOURNAL_UNIT, LOGROTATE_UNIT},
};

/// Cleans the journal, and tells how much that freed where root's oneshot has left the figure in `freed`.
pub async fn clean_journal(systemd: &impl Systemd, freed: &Path) -> Ended {
    let ended = run(JOURNAL_UNIT, systemd).await;
    match journal::freed(freed) {
        Some(bytes) if ended.result == OutcomeKind::Succeeded => Ended::succeeded(format!("{} freed", megabytes(bytes))),
        _ => ended,
    }
}

/// Rotates the logs.
pub async fn run_logrotate(systemd: &impl Systemd) -> Ended {
    run(LOGROTATE_UNIT, systemd).await
}

/// Runs a oneshot to its end. One that runs is left alone: a restart would kill it.
async fn run(unit: &str, systemd: &impl Systemd) -> Ended {
    match systemd.state(unit).await {
        Ok(state) if state.active_state == "activating" => Ended::failed("it is running already; wait for its end"),
        Ok(_) => {
            let ended = restart(unit, systemd).await;
            if ended.result == OutcomeKind::Succeeded { Ended::succeeded("done") } else { ended }
        }
        Err(error) => error.into(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::systemd::{
        ServiceState,
        fake::{Fake, state},
    };

    #[tokio::test(start_paused = true)]
    async fn a_cleaned_journal_tells_what_was_freed_where_root_has_written_it_down() {
        let folder = tempfile::tempdir().unwrap();
        let freed = folder.path().join("freed");
        let oneshot = ServiceState { kind: "oneshot".to_owned(), ..state("inactive", "dead", "success") };
        let systemd = Fake { states: vec![oneshot].into(), ..Fake::default() };
        assert_eq!(clean_journal(&systemd, &freed).await, Ended::succeeded("done"));
        std::fs::write(&freed, "94600000").unwrap();
        assert_eq!(clean_journal(&systemd, &freed).await, Ended::succeeded("94.6 MB freed"));
        let failing = Fake { states: vec![state("failed", "failed", "exit-code")].into(), ..Fake::default() };
        assert_eq!(clean_journal(&failing, &freed).await, Ended::failed("failed (failed): exit-code"));
        assert_eq!(*systemd.restarted.borrow(), [JOURNAL_UNIT, JOURNAL_UNIT]);
    }
}
