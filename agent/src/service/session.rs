//! Work under one pairing: reports, commands, outcomes, side by side on one thread.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use osm_protocol::{
    keyset::{KeySet, TrustedKeys},
    messages::{Receipt, ReportBatch},
};
use tokio::{
    sync::{Mutex, Notify},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

use crate::{
    backend::{
        backoff::{Backoff, jittered},
        client::{Api, Client, ClientError},
    },
    cli::status::Status,
    command::{
        execute::{Executor, Handled, Identity},
        ledger::Ledger,
    },
    config::Settings,
    crash::crash_point,
    host::{
        clock::{Clock, Moment},
        identity,
        systemd::{Systemd, notify},
    },
    report::{
        collect::processes,
        measure::{Measured, Reporter, redated},
        spool::{Entry, Spool},
    },
    state::dir::{Pairing, StateDir},
};

/// How long a removed server waits before it asks again, in case it was a mistake.
const REMOVED_PAUSE: Duration = Duration::from_hours(1);
/// As long as the backend refuses: it does not know the agent's key, or the command.
const KEY_PAUSE: Duration = Duration::from_mins(5);
/// Longest pause between attempts when nothing answers.
const BACKOFF_MAX: Duration = Duration::from_mins(1);
/// Longest pause while the backend hands out what cannot be taken up.
const IGNORED_MAX: Duration = Duration::from_mins(5);
/// Sending gets at least this long, however short the interval.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between the first reading of the CPUs and the first report.
const WARM_UP: Duration = Duration::from_secs(1);
/// How often a reboot that is ahead is looked at.
const REBOOT_LOOK: Duration = Duration::from_secs(2);
/// A long poll that comes back empty sooner than this was not one.
const POLL_MIN: Duration = Duration::from_secs(1);

pub struct Session<'a, S> {
    settings: &'a Settings,
    dir: &'a StateDir,
    pairing: &'a Pairing,
    systemd: &'a S,
    executing: &'a Mutex<()>,
    clock: Rc<Clock>,
    client: Client,
    identity: Identity,
    keys: RefCell<TrustedKeys>,
    keys_wanted: Notify,
    ledger: RefCell<Ledger>,
    outcomes: Notify,
    /// There may be a reboot ahead.
    reboot: Notify,
    spool: RefCell<Spool>,
    status: RefCell<Status>,
    /// Nothing is sent before this: the backend asked for a pause, or refused us as a whole.
    held: Cell<Option<Instant>>,
    /// How many spooled reports go into one request: fewer after a refusal, down to the one that is to blame.
    backlog: Cell<usize>,
}

impl<'a, S: Systemd> Session<'a, S> {
    pub fn open(
        settings: &'a Settings,
        dir: &'a StateDir,
        pairing: &'a Pairing,
        clock: Rc<Clock>,
        systemd: &'a S,
        executing: &'a Mutex<()>,
    ) -> Result<Self> {
        let key = pairing.key.signing_key()?;
        let public = osm_protocol::key::PublicKey::from(&key);
        let client = Client::new(Api::parse(&pairing.api)?, settings.ca_file.as_deref(), key, Rc::clone(&clock))?;
        let ledger = dir.file("ledger.jsonl");
        let boot = identity::boot()?;
        let ledger =
            Ledger::open(&ledger, &boot, Moment::now()).with_context(|| format!("{} cannot be used", ledger.display()))?;
        Ok(Self {
            settings,
            dir,
            pairing,
            systemd,
            executing,
            identity: Identity { server_id: pairing.server_id, agent_key: public.to_string(), key_id: public.id(), boot },
            keys: RefCell::new(dir.trusted_keys(pairing)?),
            keys_wanted: Notify::new(),
            ledger: RefCell::new(ledger),
            outcomes: Notify::new(),
            reboot: Notify::new(),
            spool: RefCell::new(open_spool(settings, dir, &public.id())?),
            status: RefCell::new(Status::new()),
            held: Cell::new(None),
            backlog: Cell::new(BACKLOG_MAX),
            clock,
            client,
        })
    }

    /// Works for ever.
    pub async fn work(&self) {
        tokio::join!(self.reports(), self.commands(), self.reboots(), self.deliver(), self.rotate());
    }

    async fn reports(&self) {
        let mut reporter = Reporter::new(self.settings);
        // The load of the CPUs is measured between two readings: also the first report shall have it.
        reporter.warm_up();
        sleep(WARM_UP).await;
        loop {
            let next = Instant::now() + jittered(self.settings.interval);
            let measured = reporter.measure(self.settings, &self.clock, &self.identity.boot, self.systemd).await;
            let now = self.clock.now();
            // On disk before it is sent, so that a crash loses nothing; a full disk only costs that safety.
            let entry = self.spool.borrow_mut().add(&measured.report, measured.boot_at, now);
            if let Err(error) = &entry {
                log::error!("this report cannot be kept on disk: {error}; should the backend not answer now, it is lost");
            }
            // The next sample does not wait for a backend that hangs; what was sent is sent again, and changes nothing.
            let patience = next.max(Instant::now() + PATIENCE);
            let sent = Cell::new(false);
            let in_time = timeout_at(patience, self.send(&measured, entry.ok(), &sent)).await;
            if in_time.is_err() && !sent.get() {
                self.failed(&ClientError::Network("no answer in time".to_owned()));
            }
            self.tell();
            sleep_until(next).await;
        }
    }

    /// Sends the live report, then some backlog. `sent` tells how far it came, should it be cut short.
    async fn send(&self, measured: &Measured, entry: Option<Entry>, sent: &Cell<bool>) {
        if self.held.get().is_some_and(|until| Instant::now() < until) {
            return;
        }
        let boot = &self.identity.boot;
        let live = |clock: &Clock| batch(vec![redated(measured.report.clone(), measured.boot_at, clock, boot)]);
        match self.client.report(live).await {
            Ok(receipt) => {
                sent.set(true);
                crash_point!("report.acknowledged");
                self.spool.borrow_mut().remove(entry.as_slice());
                crash_point!("report.removed");
                self.accepted(receipt);
                self.send_backlog().await;
            }
            Err(error) => {
                if error.is_about_the_body() {
                    // It will never be taken: keeping it would only be in the way.
                    self.spool.borrow_mut().remove(entry.as_slice());
                }
                self.failed(&error);
            }
        }
    }

    /// One batch an interval, newest first.
    async fn send_backlog(&self) {
        let count = self.backlog.get();
        let boot = &self.identity.boot;
        let spooled = self.spool.borrow_mut().newest(count, None, &self.clock, boot);
        let (entries, reports): (Vec<_>, Vec<_>) = spooled.into_iter().unzip();
        if reports.is_empty() {
            return;
        }
        match self.client.report(|_| batch(reports.clone())).await {
            Ok(receipt) => {
                crash_point!("backlog.acknowledged");
                self.spool.borrow_mut().remove(&entries);
                crash_point!("backlog.removed");
                self.backlog.set((count * 2).min(BACKLOG_MAX));
                self.accepted(receipt);
            }
            Err(error) if error.is_about_the_body() => {
                if entries.len() == 1 {
                    log::error!("a spooled report is dropped: {error}");
                    self.spool.borrow_mut().remove(&entries);
                }
                self.backlog.set((entries.len() / 2).max(1));
            }
            Err(error) => self.failed(&error),
        }
    }

    fn accepted(&self, receipt: Receipt) {
        self.held.set(None);
        self.status.borrow_mut().accepted(self.clock.now());
        if receipt.key_set_version > self.keys.borrow().version {
            self.keys_wanted.notify_one();
        }
    }

    fn failed(&self, error: &ClientError) {
        let pause = match error {
            ClientError::Removed => Some(jittered(REMOVED_PAUSE)),
            ClientError::Busy { retry_after } => Some(retry_after.unwrap_or_else(|| jittered(BACKOFF_MAX))),
            error if error.is_about_the_key() => Some(jittered(KEY_PAUSE)),
            _ => None,
        };
        self.held.set(pause.map(|pause| Instant::now() + pause));
        if self.status.borrow_mut().failed(error, self.clock.now()) {
            log::warn!("reports are kept on this machine: {error}");
        }
    }

    async fn commands(&self) {
        let mut backoff = Backoff::new(BACKOFF_MAX);
        let mut ignored = Backoff::new(IGNORED_MAX);
        loop {
            let after = self.ledger.borrow().last_seq(&self.identity.key_id);
            let asked = Instant::now();
            match self.client.commands(after).await {
                Ok(delivered) => {
                    backoff.reset();
                    let mut recorded = false;
                    for envelope in &delivered.commands {
                        recorded |= self.execute(envelope.get().as_bytes()).await;
                    }
                    if recorded {
                        ignored.reset();
                    } else if !delivered.commands.is_empty() {
                        sleep(ignored.pause()).await;
                    } else if asked.elapsed() < POLL_MIN {
                        sleep(POLL_MIN).await;
                    }
                }
                Err(error) => {
                    log::debug!("commands cannot be asked for: {error}");
                    sleep(pause_after(&error, &mut backoff)).await;
                }
            }
        }
    }

    fn executor(&self) -> Executor<'_, S> {
        Executor {
            settings: self.settings,
            identity: &self.identity,
            clock: &self.clock,
            ledger: &self.ledger,
            systemd: self.systemd,
        }
    }

    async fn execute(&self, envelope: &[u8]) -> bool {
        let _executing = self.executing.lock().await;
        let trusted = self.keys.borrow().command_keys.clone();
        let handled = Box::pin(self.executor().handle(envelope, &trusted)).await;
        match handled {
            Handled::Recorded => {
                self.outcomes.notify_one();
                self.reboot.notify_one();
            }
            Handled::UnknownKey => self.keys_wanted.notify_one(),
            Handled::Ignored => {}
        }
        handled == Handled::Recorded
    }

    /// Sees that a reboot that is ahead comes, or says why it does not.
    async fn reboots(&self) {
        loop {
            let (ahead, ended) = {
                let _executing = self.executing.lock().await;
                self.executor().watch_reboot().await
            };
            if ended {
                self.outcomes.notify_one();
            }
            if ahead {
                sleep(REBOOT_LOOK).await;
            } else {
                self.reboot.notified().await;
            }
        }
    }

    /// Brings outcomes to the backend until it has taken each.
    async fn deliver(&self) {
        let mut backoff = Backoff::new(BACKOFF_MAX);
        loop {
            let open = self.ledger.borrow().open_outcomes(&self.identity.key_id);
            if open.is_empty() {
                backoff.reset();
                self.outcomes.notified().await;
                continue;
            }
            let mut pause = None;
            for (jti, outcome) in open {
                let delivered = self.client.outcome(jti, &outcome).await;
                if let Err(error) = &delivered
                    && error.is_about_the_command()
                {
                    log::error!("the outcome of command {jti} is dropped: {error}");
                }
                match delivered {
                    Err(error) if !error.is_about_the_command() => {
                        log::warn!("the outcome of command {jti} is not delivered yet: {error}");
                        pause = Some(pause_after(&error, &mut backoff));
                    }
                    _ => {
                        if let Err(error) = self.ledger.borrow_mut().delivered(jti) {
                            // It is delivered once more after a restart, which changes nothing.
                            log::warn!("the delivery of an outcome cannot be written down: {error}");
                        }
                    }
                }
            }
            if let Some(pause) = pause {
                // A new outcome need not wait for an old one's pause.
                let _ = timeout(pause, self.outcomes.notified()).await;
            }
        }
    }

    /// Fetches a newer key set when there is word of one.
    async fn rotate(&self) {
        loop {
            self.keys_wanted.notified().await;
            match self.fetch_keys().await {
                Ok(true) => log::info!("command keys: version {}", self.keys.borrow().version),
                Ok(false) => {}
                Err(error) => log::warn!("the key set cannot be renewed: {error:#}"),
            }
            // A backend that keeps asking for it must not keep us busy.
            sleep(jittered(self.settings.interval)).await;
        }
    }

    async fn fetch_keys(&self) -> Result<bool> {
        let envelope = self.client.keys().await?;
        let root = self.pairing.root()?;
        // Any version first: the one already held is nothing to complain about.
        if KeySet::open(&envelope, &root, i64::MIN)?.version == self.keys.borrow().version {
            return Ok(false);
        }
        let keys = KeySet::open(&envelope, &root, self.keys.borrow().version)?;
        self.dir.store_key_set(&envelope)?;
        *self.keys.borrow_mut() = keys;
        Ok(true)
    }

    /// Says how it goes, to systemd and to `osm-agent status`.
    fn tell(&self) {
        let mut status = self.status.borrow_mut();
        status.spooled = self.spool.borrow().len();
        status.clock_ahead_ms = self.clock.ahead();
        status.processes_hidden = self.settings.top_processes && !processes::are_visible();
        status.open_outcomes = self.ledger.borrow().open_outcomes(&self.identity.key_id).len();
        notify::status(&status.line(self.clock.now()));
        status.write(self.dir);
    }
}

/// A live report alone, then as many as the contract allows.
const BACKLOG_MAX: usize = osm_protocol::messages::limits::REPORTS;

pub fn batch(reports: Vec<osm_protocol::messages::Report>) -> ReportBatch {
    ReportBatch { agent_version: env!("CARGO_PKG_VERSION").to_owned(), reports }
}

fn pause_after(error: &ClientError, backoff: &mut Backoff) -> Duration {
    match error {
        ClientError::Removed => jittered(REMOVED_PAUSE),
        ClientError::Busy { retry_after: Some(pause) } => *pause + backoff.pause(),
        // Refused as such: soon again would be refused again.
        ClientError::Refused(problem) if problem.status < 500 => jittered(KEY_PAUSE),
        _ => backoff.pause(),
    }
}

/// The spool of this pairing; what was kept for another one is nobody else's business.
fn open_spool(settings: &Settings, dir: &StateDir, key_id: &str) -> Result<Spool> {
    dir.remove_spools(Some(key_id))?;
    let folder = dir.spool(key_id);
    Spool::open(&folder, settings.spool).with_context(|| format!("{} cannot be used", folder.display()))
}
