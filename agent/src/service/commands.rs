//! Waits for commands in a long poll, and has each done.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{
    pauses::{BACKOFF_MAX, pause_after},
    session::Session,
};
use crate::{
    backend::{backoff::Backoff, error::ClientError},
    command::execute::Handled,
    host::systemd::Systemd,
};

/// Longest pause while the backend hands out what cannot be taken up.
const IGNORED_MAX: Duration = Duration::from_mins(5);
/// A long poll that comes back empty sooner than this was not one.
const POLL_MIN: Duration = Duration::from_secs(1);
/// Between two commands.
const APART: Duration = Duration::from_millis(500);
/// The way of the commands counts as broken when none could be asked for in this time.
const BROKEN: Duration = Duration::from_mins(2);

pub async fn run<S: Systemd>(session: &Session<'_, S>) {
    let machine = session.service.machine;
    let mut backoff = Backoff::new(BACKOFF_MAX);
    let mut ignored = Backoff::new(IGNORED_MAX);
    let mut way = Way { session, worked: machine.clock.instant() };
    loop {
        let after = session.ledger.borrow().last_seq(session.identity.key_id);
        let asked = machine.clock.instant();
        match session.client.commands(after).await {
            Ok(delivered) => {
                backoff.reset();
                way.works();
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
                let pause = pause_after(session, &error, &mut backoff).await;
                way.failed(&error);
                // A server that is known again asks at once.
                let _ = timeout(pause, session.taken_again.notified()).await;
            }
        }
    }
}

/// Whether commands can reach this machine, as far as the agent can tell. Reports may well go through where they do not: proxies
/// cut long polls.
struct Way<'a, S> {
    session: &'a Session<'a, S>,
    /// When commands could last be asked for.
    worked: Instant,
}

impl<S: Systemd> Way<'_, S> {
    fn works(&mut self) {
        self.worked = self.session.service.machine.clock.instant();
        if self.session.commands_unreachable.take().is_some() {
            log::info!("commands can be asked for again");
        }
    }

    fn failed(&self, error: &ClientError) {
        log::debug!("commands cannot be asked for: {error}");
        if self.session.removed.get() || self.session.service.machine.clock.instant() - self.worked < BROKEN {
            return;
        }
        let before = self.session.commands_unreachable.replace(Some(error.to_string()));
        if before.is_none() {
            log::warn!("commands do not reach this machine: {error}");
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
