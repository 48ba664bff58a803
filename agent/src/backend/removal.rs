//! The proof that a server was removed. A status alone proves nothing, and whoever has stolen a command key loses with its
//! rotation what they could say with it.

use osm_protocol::{
    envelope::Envelope,
    key::PublicKey,
    keyset::{KeySet, KeySetError, Removed, TrustedKeys},
    messages::problem,
};

use super::error::ClientError;

/// What a person is told.
pub const SAID: &str = "the backend no longer knows this server (it was removed); pair it again, or stop the agent";

/// A removal that is proven, and the keys that prove it.
#[derive(Debug)]
pub struct Proven {
    pub keys: TrustedKeys,
    /// Where the keys are newer than those held: the set, to be kept.
    pub newer: Option<Envelope>,
}

/// Gives the proof where a refusal holds one for this agent: the current key set, which may be newer than the one held, since who
/// was removed can no longer ask for it, and the removal, signed by one of its keys just now.
pub fn proven(error: &ClientError, held: &TrustedKeys, agent_key: &str, now: i64) -> Option<Proven> {
    let problem = error.refusal().filter(|problem| problem.kind == problem::REMOVED)?;
    let removal = problem.removal.as_ref()?;
    let keys = current(&removal.key_set, &held.root, held.version)
        .inspect_err(|why| log::debug!("a removal is not believed: {why}"))
        .ok()?;
    if let Err(why) = Removed::open(&removal.removed, &keys, agent_key, now) {
        log::debug!("a removal is not believed: {why}");
        return None;
    }
    let newer = (keys.version > held.version).then(|| removal.key_set.clone());
    Some(Proven { keys, newer })
}

/// Opens a key set that is the one held or a newer one.
fn current(set: &Envelope, root: &PublicKey, held: i64) -> Result<TrustedKeys, KeySetError> {
    KeySet::open(set, root, held.saturating_sub(1))
}
