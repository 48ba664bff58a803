//! Work under one pairing: what its loops share.

use std::cell::{Cell, RefCell};

use anyhow::{Context as _, Result};
use osm_protocol::{envelope::Envelope, key::PublicKey, keyset::TrustedKeys};
use tokio::sync::{Mutex, Notify};

use crate::{
    backend::{address::Api, client::Client, error::ClientError, removal},
    command::{execute::Executor, judge::Identity, ledger::Ledger},
    host::{identity, systemd::Systemd},
    machine::Machine,
    state::pairing::Pairing,
};

/// What outlives a pairing.
pub struct Service<'a, S> {
    pub machine: &'a Machine<'a>,
    pub systemd: &'a S,
    /// Held while a command is done: whoever gets it knows that none is half done.
    pub executing: Mutex<()>,
}

pub struct Session<'a, S> {
    pub service: &'a Service<'a, S>,
    pub pairing: &'a Pairing,
    pub identity: Identity,
    pub client: Client,
    pub keys: RefCell<TrustedKeys>,
    /// There is word of newer keys.
    pub keys_wanted: Notify,
    pub ledger: RefCell<Ledger>,
    /// There are outcomes to be told.
    pub outcomes: Notify,
    /// There may be a reboot ahead.
    pub reboot: Notify,
    /// The backend has proven that it removed this server, and has taken no report since.
    pub removed: Cell<bool>,
    /// A report was taken after that.
    pub taken_again: Notify,
    /// Why no command has arrived for a while.
    pub commands_unreachable: RefCell<Option<String>>,
}

impl<'a, S: Systemd> Session<'a, S> {
    pub fn open(service: &'a Service<'a, S>, pairing: &'a Pairing) -> Result<Self> {
        let machine = service.machine;
        let key = pairing.key.signing_key()?;
        let public = PublicKey::from(&key);
        let boot = identity::boot()?;
        let ledger = Ledger::open(&machine.dir.file("ledger.jsonl"), &boot, machine.clock.moment());
        Ok(Self {
            service,
            pairing,
            identity: Identity { server_id: pairing.server_id, agent_key: public.to_string(), key_id: public.id(), boot },
            client: machine.client(Api::parse(&pairing.api)?, key)?,
            keys: RefCell::new(machine.dir.trusted_keys(pairing)?),
            keys_wanted: Notify::new(),
            ledger: RefCell::new(ledger),
            outcomes: Notify::new(),
            reboot: Notify::new(),
            removed: Cell::new(false),
            taken_again: Notify::new(),
            commands_unreachable: RefCell::default(),
        })
    }

    /// Takes up newer command keys.
    pub async fn take_up(&self, set: &Envelope, keys: TrustedKeys) -> Result<()> {
        // Not in the middle of a command.
        let _executing = self.service.executing.lock().await;
        *self.keys.borrow_mut() = keys;
        // What a stolen key has used up ahead of the clock ends with it. This before the set is on disk: what is there counts as
        // taken up, and is not fetched again after a crash or a full disk.
        let lowered = self.ledger.borrow_mut().lower(self.service.machine.clock.moment());
        lowered.context("the ledger cannot be written")?;
        self.service.machine.dir.store_key_set(set)
    }

    /// Tells whether a refusal proves that the backend removed this server, and takes up the keys that come with the proof.
    pub async fn is_removed_by(&self, error: &ClientError) -> bool {
        let held = self.keys.borrow().clone();
        let Some(proof) = removal::proven(error, &held, &self.identity.agent_key, self.service.machine.clock.now()) else {
            return false;
        };
        if let Some(newer) = &proof.newer
            && let Err(error) = self.take_up(newer, proof.keys).await
        {
            log::warn!("the key set cannot be renewed: {error:#}");
        }
        self.removed.set(true);
        true
    }

    /// Notes that a report was taken: a server that was removed is known again.
    pub fn taken(&self) {
        if self.removed.replace(false) {
            self.taken_again.notify_one();
            self.outcomes.notify_one();
        }
    }

    /// Gives what a command is done with.
    pub fn executor(&self) -> Executor<'_, S> {
        Executor {
            settings: self.service.machine.settings,
            identity: &self.identity,
            clock: &self.service.machine.clock,
            ledger: &self.ledger,
            systemd: self.service.systemd,
        }
    }
}
