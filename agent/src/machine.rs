//! What everything that talks to the backend is given.

use std::rc::Rc;

use anyhow::Result;
use ed25519_dalek::SigningKey;
use osm_protocol::key::PublicKey;

use crate::{
    backend::{address::Api, client::Client, error::ClientError, removal},
    config::Settings,
    host::{clock::Clock, random::Random},
    state::{dir::StateDir, pairing::Pairing},
};

/// This machine: what root configured, what the agent remembers, time and chance.
pub struct Machine<'a> {
    pub settings: &'a Settings,
    pub dir: &'a StateDir,
    pub clock: Rc<Clock>,
    pub random: Random,
}

impl<'a> Machine<'a> {
    /// Goes by the system's own clocks and randomness.
    pub fn real(settings: &'a Settings, dir: &'a StateDir) -> Self {
        Self { settings, dir, clock: Rc::new(Clock::system()), random: Random::system() }
    }

    /// Makes a client for a backend, which signs with this key.
    pub fn client(&self, api: Api, key: SigningKey) -> Result<Client> {
        Client::new(api, self.settings.ca_file.as_deref(), key, Rc::clone(&self.clock), self.random)
    }

    /// Tells whether a refusal proves that the backend has removed the server of this pairing.
    pub fn is_removed_by(&self, pairing: &Pairing, error: &ClientError) -> Result<bool> {
        let (held, key) = (self.dir.trusted_keys(pairing)?, PublicKey::from(&pairing.key.signing_key()?));
        Ok(removal::proven(error, &held, &key.to_string(), self.clock.now()).is_some())
    }
}
