//! Sees that a reboot that is ahead comes, or says why it does not.

use std::time::Duration;

use tokio::time::sleep;

use super::session::Session;
use crate::{command::execute::Watched, host::systemd::Systemd};

/// How often a reboot that is ahead is looked at.
const LOOK: Duration = Duration::from_secs(2);

pub async fn run<S: Systemd>(session: &Session<'_, S>) {
    loop {
        match watch(session).await {
            Watched::Nothing => session.reboot.notified().await,
            Watched::Ahead => sleep(LOOK).await,
            Watched::Ended => session.outcomes.notify_one(),
        }
    }
}

async fn watch<S: Systemd>(session: &Session<'_, S>) -> Watched {
    let _executing = session.service.executing.lock().await;
    session.executor().watch_reboot().await
}
