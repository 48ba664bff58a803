//! Brings outcomes to the backend until it has taken each.

use std::time::Duration;

use osm_protocol::{action::Outcome, ids::CommandId};
use tokio::time::timeout;

use super::{
    pauses::{BACKOFF_MAX, pause_after},
    session::Session,
};
use crate::{
    backend::{backoff::Backoff, error::ClientError},
    host::systemd::Systemd,
};

pub async fn run<S: Systemd>(session: &Session<'_, S>) {
    let mut backoff = Backoff::new(BACKOFF_MAX);
    loop {
        let open = session.ledger.borrow().open_outcomes(session.identity.key_id);
        if open.is_empty() {
            backoff.reset();
            session.outcomes.notified().await;
        } else if let Some(pause) = deliver_all(session, open, &mut backoff).await {
            // A new outcome need not wait for an old one's pause.
            let _ = timeout(pause, session.outcomes.notified()).await;
        }
    }
}

/// Tries each once. Says how long to wait where one is left.
async fn deliver_all<S: Systemd>(
    session: &Session<'_, S>,
    open: Vec<(CommandId, Outcome)>,
    backoff: &mut Backoff,
) -> Option<Duration> {
    let mut pause = None;
    for (jti, outcome) in open {
        if let Err(error) = deliver(session, jti, &outcome).await {
            log::warn!("the outcome of command {jti} is not delivered yet: {error}");
            pause = Some(pause_after(&error, backoff, session.service.machine.random));
        }
    }
    pause
}

/// Tells one outcome. One that the backend will never take counts as told.
async fn deliver<S: Systemd>(session: &Session<'_, S>, jti: CommandId, outcome: &Outcome) -> Result<(), ClientError> {
    match session.client.outcome(jti, outcome).await {
        Ok(()) => {}
        Err(error) if error.is_about_the_command() => log::error!("the outcome of command {jti} is dropped: {error}"),
        Err(error) => return Err(error),
    }
    let now = session.service.machine.clock.moment();
    if let Err(error) = session.ledger.borrow_mut().delivered(jti, now) {
        // It is delivered once more after a restart, which changes nothing.
        log::warn!("the delivery of an outcome cannot be written down: {error}");
    }
    Ok(())
}
