//! Work under one pairing: what its loops share.

use std::cell::RefCell;

use anyhow::Result;
use osm_protocol::{key::PublicKey, keyset::TrustedKeys};
use tokio::sync::{Mutex, Notify};

use crate::{
    backend::{address::Api, client::Client},
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
        })
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
