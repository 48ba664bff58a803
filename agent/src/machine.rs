//! What everything that talks to the backend is given.

use std::rc::Rc;

use anyhow::Result;
use ed25519_dalek::SigningKey;

use crate::{
    backend::{address::Api, client::Client},
    config::Settings,
    host::{clock::Clock, random::Random},
    state::dir::StateDir,
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
}
