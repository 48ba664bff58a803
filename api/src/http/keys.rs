//! The keys of all servers, so that a call needs no look-up, and so that a known key can be told from an unknown one while
//! unknown ones come by the thousand. Whether a server still exists is asked again in every transaction.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use osm_protocol::{ids::KeyId, key::PublicKey};

use crate::{
    domain::{
        Millis, SECOND,
        bucket::{Bucket, Rate},
        ids::ServerId,
    },
    error::{Error, Result},
    store::servers,
    usecase::Core,
};

/// How long a key is believed without a look: one that was replaced by another instance may be taken for so long.
const FOR: Millis = 5 * SECOND;
/// How often all are read anew because a stranger might be one of them, whom another instance paired.
const RELOADS: Rate = Rate { burst: 3.0, per_second: 0.2 };

pub struct Keys {
    known: Mutex<HashMap<KeyId, Known>>,
    reloads: tokio::sync::Mutex<Bucket>,
}

struct Known {
    owner: Owner,
    /// By the clock that never jumps.
    looked: Millis,
}

/// A server, and its key.
#[derive(Clone)]
pub struct Owner {
    pub server_id: ServerId,
    pub key: Arc<PublicKey>,
}

/// What is known of a key by its id.
pub enum Found {
    Owner(Owner),
    /// It is time to look again; whoever is told so is the one to do it.
    Stale,
    Unknown,
}

/// What the database has of a key.
pub enum Held {
    Owner(Owner),
    /// Of a server that was removed.
    Removed(Arc<PublicKey>),
    Nobody,
}

impl Keys {
    pub fn new() -> Self {
        Self { known: Mutex::default(), reloads: tokio::sync::Mutex::new(Bucket::full(RELOADS, Duration::ZERO)) }
    }

    pub fn find(&self, key_id: KeyId, now: Millis) -> Found {
        match self.lock().get_mut(&key_id) {
            None => Found::Unknown,
            Some(known) if now - known.looked < FOR => Found::Owner(known.owner.clone()),
            Some(known) => {
                known.looked = now;
                Found::Stale
            }
        }
    }

    /// Notes a server's key; whatever it had before is known no more.
    pub fn put(&self, owner: Owner, now: Millis) {
        let mut known = self.lock();
        known.retain(|_, known| known.owner.server_id != owner.server_id);
        known.insert(owner.key.id(), Known { owner, looked: now });
    }

    /// Asks the database about one key.
    pub async fn look_up(&self, core: &Core, key_id: KeyId) -> Result<Held> {
        let mut tx = core.store.read().await?;
        if let Some(agent) = servers::by_key_id(&mut tx, key_id).await? {
            let owner = Owner { server_id: agent.id, key: read(&agent.agent_key)? };
            self.lock().insert(key_id, Known { owner: owner.clone(), looked: core.clock.steady() });
            return Ok(Held::Owner(owner));
        }
        self.lock().remove(&key_id);
        match servers::removed_key(&mut tx, key_id).await? {
            Some(key) => Ok(Held::Removed(read(&key)?)),
            None => Ok(Held::Nobody),
        }
    }

    /// Reads all keys, unless that was done just now.
    pub async fn reload(&self, core: &Core) -> Result<()> {
        let now = core.clock.steady();
        // Who comes meanwhile waits, and finds what was read.
        let mut reloads = self.reloads.lock().await;
        if reloads.try_take(Duration::from_millis(now.unsigned_abs())).is_err() {
            return Ok(());
        }
        let mut tx = core.store.read().await?;
        let all = servers::keys(&mut tx).await?;
        drop(tx);
        let known = all.into_iter().map(|(server_id, key)| {
            let key = read(&key)?;
            Ok((key.id(), Known { owner: Owner { server_id, key }, looked: now }))
        });
        let read = known.collect::<Result<HashMap<_, _>>>()?;
        let mut known = self.lock();
        // What was put there meanwhile stays.
        known.retain(|_, known| known.looked >= now);
        known.extend(read);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<KeyId, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(key: &str) -> Result<Arc<PublicKey>> {
    PublicKey::parse(key).map(Arc::new).map_err(Error::internal)
}
