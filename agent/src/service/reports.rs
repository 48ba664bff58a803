//! Measures, keeps and sends reports, and says how that goes.

use std::time::Duration;

use anyhow::{Context as _, Result};
use osm_protocol::messages::{Receipt, Unread, UnreadDisk, limits};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::{
    pauses::{BACKOFF_MAX, REMOVED_PAUSE},
    session::Session,
};
use crate::{
    backend::{backoff::jittered, error::ClientError, removal},
    crash,
    host::{
        clock::Clock,
        systemd::{Systemd, notify},
    },
    report::{
        collect::processes,
        measure::{Measured, Reporter, batch, redated},
        spool::{Entry, Spool},
    },
    state::status::Status,
};

/// Sending gets at least this long, however short the interval.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between the first reading of the CPUs and the first report.
const WARM_UP: Duration = Duration::from_secs(1);
/// How long a report that was refused is kept out of the backlog: a newer backend may take it.
const ASIDE: Duration = Duration::from_hours(1);
/// As many spooled reports as the contract allows.
const BACKLOG_MAX: usize = limits::REPORTS;

pub struct Reports<'a, S> {
    session: &'a Session<'a, S>,
    reporter: Reporter,
    spool: Spool,
    status: Status,
    /// Nothing is sent before this: the backend asked for a pause, or refused us as a whole.
    held: Option<Instant>,
    /// The likeness of the trouble that was said last.
    said: Option<String>,
    /// When what was set aside is tried again.
    aside_until: Option<Instant>,
    /// How many spooled reports go into one request: fewer after a refusal, down to the one that is to blame.
    backlog: usize,
    /// The backend has taken the live report.
    taken: bool,
}

/// Says it to a person.
fn unread(disk: &UnreadDisk) -> String {
    let why = match disk.why {
        Unread::NoAnswer => "does not answer",
        Unread::Forbidden => "may not be looked at by the agent's user: a folder above it is closed",
    };
    format!("{} {why}", disk.mount)
}

impl<'a, S: Systemd> Reports<'a, S> {
    /// Opens the spool of this pairing; what was kept for another one is nobody else's business.
    pub fn open(session: &'a Session<'a, S>) -> Result<Self> {
        let machine = session.service.machine;
        let key_id = session.identity.key_id;
        machine.dir.remove_spools(Some(key_id))?;
        let folder = machine.dir.spool(key_id);
        let spool =
            Spool::open(&folder, machine.settings.spool).with_context(|| format!("{} cannot be used", folder.display()))?;
        Ok(Self {
            session,
            reporter: Reporter::new(machine.settings),
            spool,
            status: Status::default(),
            held: None,
            aside_until: None,
            said: None,
            backlog: BACKLOG_MAX,
            taken: false,
        })
    }

    pub async fn run(mut self) {
        let machine = self.session.service.machine;
        // The load of the CPUs is measured between two readings: also the first report shall have it.
        self.reporter.warm_up();
        sleep(WARM_UP).await;
        loop {
            let next = machine.clock.instant() + jittered(machine.settings.interval, machine.random);
            let measured = self.measure().await;
            let entry = self.keep(&measured);
            // The next sample does not wait for a backend that hangs; what was sent is sent again, and changes nothing.
            let patience = next.max(machine.clock.instant() + PATIENCE);
            self.taken = false;
            let in_time = timeout_at(patience, self.send(&measured, entry)).await;
            if in_time.is_err() && !self.taken {
                self.failed(&ClientError::Network("no answer in time".to_owned())).await;
            }
            self.tell();
            sleep_until(next).await;
        }
    }

    async fn measure(&mut self) -> Measured {
        let Session { service, identity, ledger, .. } = self.session;
        let measured =
            self.reporter.measure(service.machine.settings, &service.machine.clock, &identity.boot, service.systemd).await;
        self.status.disks_unread = measured.report.unread_disks.iter().map(unread).collect();
        let measured = match ledger.borrow().trouble() {
            Some(trouble) => measured.refusing(trouble),
            None => measured,
        };
        measured.unreached(self.session.commands_unreachable.borrow().as_deref())
    }

    /// Puts a report on disk before it is sent, so that a crash loses nothing; a full disk only costs that safety.
    fn keep(&mut self, measured: &Measured) -> Option<Entry> {
        let kept = self.spool.add(&measured.report, measured.boot_at, self.clock().now());
        if let Err(error) = &kept {
            log::error!("this report cannot be kept on disk: {error}; should the backend not answer now, it is lost");
        }
        kept.ok()
    }

    /// Sends the live report, then some backlog.
    async fn send(&mut self, measured: &Measured, entry: Option<Entry>) {
        let session = self.session;
        if self.held.is_some_and(|until| self.clock().instant() < until) {
            return;
        }
        let live = |clock: &Clock| batch(vec![redated(measured.report.clone(), measured.boot_at, clock, &session.identity.boot)]);
        match session.client.report(live).await {
            Ok(receipt) => {
                self.taken = true;
                crash::point("report.acknowledged");
                self.spool.remove(entry.as_slice());
                crash::point("report.removed");
                self.accepted(&receipt);
                self.send_backlog().await;
            }
            Err(error) => {
                if error.is_about_the_body() {
                    self.set_aside(entry.as_slice());
                }
                self.failed(&error).await;
            }
        }
    }

    /// Sends one batch of what was kept, newest first.
    async fn send_backlog(&mut self) {
        let session = self.session;
        let clock = &session.service.machine.clock;
        if self.aside_until.is_some_and(|until| clock.instant() >= until) {
            self.spool.take_back();
            self.aside_until = None;
        }
        let spooled = self.spool.newest(self.backlog, clock, &session.identity.boot);
        let (entries, reports): (Vec<_>, Vec<_>) = spooled.into_iter().unzip();
        if reports.is_empty() {
            return;
        }
        match session.client.report(|_| batch(reports.clone())).await {
            Ok(receipt) => {
                crash::point("backlog.acknowledged");
                self.spool.remove(&entries);
                crash::point("backlog.removed");
                self.backlog = (self.backlog * 2).min(BACKLOG_MAX);
                self.accepted(&receipt);
            }
            Err(error) if error.is_about_the_body() => {
                if entries.len() == 1 {
                    log::error!("a report that was kept is refused, and tried again in an hour: {error}");
                    self.set_aside(&entries);
                }
                self.backlog = (entries.len() / 2).max(1);
            }
            Err(error) => self.failed(&error).await,
        }
    }

    /// Keeps what was refused as it is out of the way of what is not.
    fn set_aside(&mut self, entries: &[Entry]) {
        self.spool.set_aside(entries);
        let until = self.clock().instant() + ASIDE;
        self.aside_until.get_or_insert(until);
    }

    fn accepted(&mut self, receipt: &Receipt) {
        self.held = None;
        self.said = None;
        self.session.taken();
        self.status.accepted(self.clock().now());
        if receipt.key_set_version > self.session.keys.borrow().version {
            self.session.keys_wanted.notify_one();
        }
    }

    async fn failed(&mut self, error: &ClientError) {
        let random = self.session.service.machine.random;
        let is_removed = self.session.is_removed_by(error).await;
        let pause = match error {
            _ if is_removed => Some(REMOVED_PAUSE),
            ClientError::Busy { retry_after } => Some(retry_after.unwrap_or(BACKOFF_MAX)),
            error if error.is_about_the_key() => Some(BACKOFF_MAX),
            ClientError::Network(_) | ClientError::Between(_) | ClientError::Refused(_) => None,
        };
        self.held = pause.map(|pause| self.clock().instant() + jittered(pause, random));
        self.status.removed = is_removed;
        let (why, likeness) =
            if is_removed { (removal::SAID.to_owned(), "removed".to_owned()) } else { (error.to_string(), error.likeness()) };
        if self.said.as_ref() != Some(&likeness) {
            log::warn!("reports are kept on this machine: {why}");
            self.said = Some(likeness);
        }
        self.status.failed(why, self.clock().now());
    }

    /// Says how it goes, to systemd and to `osm-agent status`.
    fn tell(&mut self) {
        let Session { service, identity, ledger, .. } = self.session;
        self.status.spooled = self.spool.len();
        self.status.clock_ahead_ms = self.clock().ahead();
        self.status.processes_hidden = service.machine.settings.top_processes && !processes::are_visible();
        self.status.commands_off = ledger.borrow().trouble().map(str::to_owned);
        self.status.commands_unreachable.clone_from(&self.session.commands_unreachable.borrow());
        self.status.open_outcomes = ledger.borrow().open_outcomes(identity.key_id).len();
        notify::status(&self.status.line(self.clock().now()));
        self.status.write(service.machine.dir);
    }

    fn clock(&self) -> &'a Clock {
        &self.session.service.machine.clock
    }
}
