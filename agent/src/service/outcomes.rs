//! Brings outcomes to the backend until it has taken each.

use std::{collections::HashMap, time::Duration};

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

/// What keeps an outcome from being taken, as it was last said.
type Said = HashMap<CommandId, String>;

pub async fn run<S: Systemd>(session: &Session<'_, S>) {
    let mut backoff = Backoff::new(BACKOFF_MAX);
    let mut said = Said::new();
    loop {
        let open = session.ledger.borrow().open_outcomes(session.identity.key_id);
        if open.is_empty() {
            backoff.reset();
            said.clear();
            session.outcomes.notified().await;
        } else if let Some(pause) = deliver_all(session, open, &mut backoff, &mut said).await {
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
    said: &mut Said,
) -> Option<Duration> {
    let mut pause = None;
    for (jti, outcome) in open {
        if let Err(error) = deliver(session, jti, &outcome).await {
            if said.insert(jti, error.likeness()) != Some(error.likeness()) {
                log::warn!("the outcome of command {jti} is not delivered yet: {error}");
            }
            pause = Some(pause_after(session, &error, backoff).await);
        }
    }
    pause
}

/// Tells one outcome. One that is refused is kept for as long as the ledger keeps it, and tried again.
async fn deliver<S: Systemd>(session: &Session<'_, S>, jti: CommandId, outcome: &Outcome) -> Result<(), ClientError> {
    session.client.outcome(jti, outcome).await?;
    let now = session.service.machine.clock.moment();
    if let Err(error) = session.ledger.borrow_mut().delivered(jti, now) {
        // It is delivered once more after a restart, which changes nothing.
        log::warn!("the delivery of an outcome cannot be written down: {error}");
    }
    Ok(())
}
