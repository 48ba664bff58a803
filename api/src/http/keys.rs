//! Keys of servers seen lately.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use osm_protocol::{ids::KeyId, key::PublicKey};

use crate::domain::{Millis, SECOND, ids::ServerId};

/// Spares a look-up. Whether a server still exists is asked again in every transaction.
#[derive(Default)]
pub struct KeyCache(Mutex<HashMap<KeyId, Cached>>);

struct Cached {
    server_id: ServerId,
    key: PublicKey,
    /// By the clock that never jumps.
    until: Millis,
}

impl KeyCache {
    const KEPT: usize = 50_000;
    const FOR: Millis = 5 * SECOND;

    pub fn get(&self, key_id: KeyId, now: Millis) -> Option<(ServerId, PublicKey)> {
        let cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(&key_id).filter(|cached| cached.until > now).map(|cached| (cached.server_id, cached.key))
    }

    pub fn put(&self, key_id: KeyId, server_id: ServerId, key: PublicKey, now: Millis) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= Self::KEPT {
            cache.retain(|_, cached| cached.until > now);
        }
        if cache.len() < Self::KEPT {
            cache.insert(key_id, Cached { server_id, key, until: now + Self::FOR });
        }
    }
}
