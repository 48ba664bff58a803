//! What the handlers share.

use std::{net::IpAddr, sync::Arc};

use crate::{
    domain::ids::ServerId,
    http::{keys::KeyCache, rate::Limiter},
    usecase::{Core, report::Reports},
};

pub struct Http {
    pub core: Arc<Core>,
    pub(super) reports: Reports,
    pub(super) keys: KeyCache,
    /// Pairings, by the caller's address.
    pub(super) pairings: Limiter<IpAddr>,
    /// Batches of reports, by server.
    pub(super) batches: Limiter<ServerId>,
}

impl Http {
    pub fn new(core: Arc<Core>, reports: Reports) -> Arc<Self> {
        Arc::new(Self {
            core,
            reports,
            keys: KeyCache::default(),
            // A person mistypes a few times; a guesser has 2^128 tokens before him.
            pairings: Limiter::new(20, 0.2),
            // An agent sends one batch in five seconds at most, and some more after an outage.
            batches: Limiter::new(60, 5.0),
        })
    }
}
