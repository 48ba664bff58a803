//! Waits for commands in a long poll, and has each done.

use std::time::Duration;

use tokio::time::sleep;

use super::{
    pauses::{BACKOFF_MAX, pause_after},
    session::Session,
};
use crate::{backend::backoff::Backoff, command::execute::Handled, host::systemd::Systemd};

/// Longest pause while the backend hands out what cannot be taken up.
const IGNORED_MAX: Duration = Duration::from_mins(5);
/// A long poll that comes back empty sooner than this was not one.
const POLL_MIN: Duration = Duration::from_secs(1);
/// Between two commands.
const APART: Duration = Duration::from_millis(500);

pub async fn run<S: Systemd>(session: &Session<'_, S>) {
    let machine = session.service.machine;
    let mut backoff = Backoff::new(BACKOFF_MAX);
    let mut ignored = Backoff::new(IGNORED_MAX);
    loop {
        let after = session.ledger.borrow().last_seq(session.identity.key_id);
        let asked = machine.clock.instant();
        match session.client.commands(after).await {
            Ok(delivered) => {
                backoff.reset();
                let mut recorded = false;
                for envelope in &delivered.commands {
                    recorded |= execute(session, envelope.get().as_bytes()).await == Handled::Recorded;
                    // Nobody asks faster than this; whoever has stolen a key must not fill the disk.
                    sleep(APART).await;
                }
                if recorded {
                    ignored.reset();
                } else if !delivered.commands.is_empty() {
                    sleep(ignored.pause(machine.random)).await;
                } else if machine.clock.instant() - asked < POLL_MIN {
                    sleep(POLL_MIN).await;
                }
            }
            Err(error) => {
                log::debug!("commands cannot be asked for: {error}");
                sleep(pause_after(&error, &mut backoff, machine.random)).await;
            }
        }
    }
}

async fn execute<S: Systemd>(session: &Session<'_, S>, envelope: &[u8]) -> Handled {
    let _executing = session.service.executing.lock().await;
    let trusted = session.keys.borrow().command_keys.clone();
    let handled = Box::pin(session.executor().handle(envelope, &trusted)).await;
    match handled {
        Handled::Recorded => {
            session.outcomes.notify_one();
            session.reboot.notify_one();
        }
        Handled::UnknownKey => session.keys_wanted.notify_one(),
        Handled::Ignored => {}
    }
    handled
}
