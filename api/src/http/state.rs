//! What the handlers share.

use std::{net::IpAddr, sync::Arc};

use osm_protocol::key::PublicKey;
use poem::{Request, RequestBody};

use crate::{
    domain::ids::ServerId,
    error::{Error, Refusal, Result},
    http::{
        address,
        body::{self, Allowed, Taken},
        budget::Budget,
        crowd::Guest,
        keys::Keys,
        rate::{AtOnce, Limiter},
    },
    usecase::{Core, report::Reports},
};

pub struct Http {
    pub core: Arc<Core>,
    pub(super) reports: Reports,
    pub(super) keys: Keys,
    pub(super) budget: Budget,
    pub(super) limits: Limits,
}

/// What each caller may do: by address who names no known key, by key who has shown a good signature.
pub(super) struct Limits {
    pub pairings: Limiter<IpAddr>,
    /// Requests with an unknown key, or a wrong secret of the webhook.
    pub strangers: Limiter<IpAddr>,
    pub calls: Limiter<ServerId>,
    pub bodies_at_once: AtOnce<ServerId>,
    pub polls_at_once: AtOnce<ServerId>,
}

impl Http {
    pub fn new(core: Arc<Core>, reports: Reports) -> Arc<Self> {
        let limits = Limits {
            // A person mistypes a few times; a guesser has 2^128 tokens to try.
            pairings: Limiter::new(20, 0.2),
            strangers: Limiter::new(20, 0.2),
            // An agent reports every five seconds at most, and has a poll, outcomes and a backlog beside it.
            calls: Limiter::new(120, 5.0),
            bodies_at_once: AtOnce::new(3),
            // One that waits, and the next when the first was lost on the way.
            polls_at_once: AtOnce::new(2),
        };
        Arc::new(Self { core, reports, keys: Keys::new(), budget: Budget::new(), limits })
    }

    /// Reads the keys of all servers.
    pub async fn load(&self) -> Result<()> {
        self.keys.reload(&self.core).await
    }

    /// Counts a refusal by the caller's address; somebody who has had many is refused for that.
    pub fn stranger(&self, request: &Request) -> Result<()> {
        let Some(address) = self.address(request) else { return Ok(()) };
        let taken = self.limits.strangers.take(address::subscriber(address), self.core.clock.steady());
        Ok(taken.map_err(|retry_after_s| Refusal::TooMany { retry_after_s })?)
    }

    /// Notes that whoever sends this has shown who they are, and reads the body.
    pub async fn known_body(&self, request: &Request, body: &mut RequestBody) -> Result<Taken> {
        is_known(request);
        body::read(request, body, &self.budget, Allowed::KNOWN).await
    }

    /// Adds its proof to the word that a server was removed, for the holder of its key.
    pub(super) fn prove(&self, key: &PublicKey, error: Error) -> Error {
        match error {
            Error::Refused(Refusal::Removed(None)) => {
                Refusal::Removed(Some(Box::new(self.core.keys.removal(key, self.core.clock.now())))).into()
            }
            other => other,
        }
    }

    pub(super) fn address(&self, request: &Request) -> Option<IpAddr> {
        address::of(request, &self.core.config.trusted_proxies)
    }
}

/// Lets the connection keep its place.
pub(super) fn is_known(request: &Request) {
    if let Some(guest) = request.data::<Arc<Guest>>() {
        guest.is_known();
    }
}
