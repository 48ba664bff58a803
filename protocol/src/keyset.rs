//! Which keys may sign commands, and the documents that bind a server to its agent.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::{
    envelope::{self, Envelope, EnvelopeError, strict_json},
    ids::ServerId,
    key::PublicKey,
};

/// How far from the agent's clock a removal may have been said, milliseconds: as long as a command lives, and beyond what a
/// request's own time may be off.
pub const REMOVED_MS: i64 = 5 * 60_000;

/// Signed by the root key. Replaces one of a lower version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySet {
    /// `max(last + 1, unix time)`: a restored backup does not go back.
    pub version: i64,
    /// The root public key, whose hash the pairing token carries.
    pub root_key: String,
    /// Public keys whose command envelopes are believed.
    pub command_keys: Vec<String>,
}

/// `pairing.v1`, signed by a command key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairing {
    pub server_id: ServerId,
    pub agent_key: String,
    /// SHA-256 of the token's text, hexadecimal.
    pub token_hash: String,
}

/// `replace.v1`, signed by an agent's old key when its host is paired again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    pub server_id: ServerId,
    pub new_key: String,
    pub token_hash: String,
}

/// `removed.v1`, signed by a command key: a server was removed. One that somebody kept says nothing later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Removed {
    /// Of the agent that is told.
    pub agent_key: String,
    /// When it is told, milliseconds since the Unix epoch.
    pub at: i64,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RemovedError {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("it names another agent's key")]
    AgentKey,
    #[error("it was said at {0}, and the time here is {1}")]
    Stale(i64, i64),
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeySetError {
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    #[error("it names another root key")]
    Root,
    #[error("it holds no command key, or more than 8, or one that is no Ed25519 key, or the root key itself")]
    CommandKeys,
    #[error("its version {0} is not higher than the one held, {1}")]
    Version(i64, i64),
}

/// A key set whose signature held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedKeys {
    pub version: i64,
    pub root: PublicKey,
    pub command_keys: Vec<PublicKey>,
}

impl KeySet {
    #[must_use]
    pub fn sign(&self, root: &SigningKey) -> Envelope {
        Envelope::sign_json(envelope::KEY_SET, self, root)
    }

    /// Gives the root public key an envelope claims, before anything is believed: the caller compares it with what it has pinned.
    pub fn claimed_root(envelope: &Envelope) -> Result<PublicKey, KeySetError> {
        let payload = data_encoding::BASE64
            .decode(envelope.payload.as_bytes())
            .map_err(|_| EnvelopeError::Malformed("payload is not base64".to_owned()))?;
        let set: Self = strict_json(&payload)?;
        PublicKey::parse(&set.root_key).map_err(|_| KeySetError::Root)
    }

    /// Opens a key set under the pinned root key, newer than `held`.
    pub fn open(envelope: &Envelope, root: &PublicKey, held: i64) -> Result<TrustedKeys, KeySetError> {
        let set: Self = strict_json(&envelope.open(envelope::KEY_SET, [root])?)?;
        if set.root_key != root.to_string() {
            return Err(KeySetError::Root);
        }
        if set.version <= held {
            return Err(KeySetError::Version(set.version, held));
        }
        let command_keys: Vec<PublicKey> = set
            .command_keys
            .iter()
            .map(|key| PublicKey::parse(key))
            .collect::<Result<_, _>>()
            .map_err(|_| KeySetError::CommandKeys)?;
        // Each key has one role: the root key signs key sets, never commands.
        if command_keys.is_empty() || command_keys.len() > 8 || command_keys.contains(root) {
            return Err(KeySetError::CommandKeys);
        }
        Ok(TrustedKeys { version: set.version, root: *root, command_keys })
    }
}

impl Pairing {
    pub fn open(envelope: &Envelope, keys: &TrustedKeys) -> Result<Self, EnvelopeError> {
        strict_json(&envelope.open(envelope::PAIRING, &keys.command_keys)?)
    }
}

impl Removed {
    #[must_use]
    pub fn sign(&self, command_key: &SigningKey) -> Envelope {
        Envelope::sign_json(envelope::REMOVED, self, command_key)
    }

    /// Opens the removal of the agent that holds `agent_key`, said just now by the agent's clock.
    pub fn open(envelope: &Envelope, keys: &TrustedKeys, agent_key: &str, now: i64) -> Result<Self, RemovedError> {
        let removed: Self = strict_json(&envelope.open(envelope::REMOVED, &keys.command_keys)?)?;
        if removed.agent_key != agent_key {
            return Err(RemovedError::AgentKey);
        }
        if removed.at.abs_diff(now) > REMOVED_MS.unsigned_abs() {
            return Err(RemovedError::Stale(removed.at, now));
        }
        Ok(removed)
    }
}

impl Replace {
    pub fn open(envelope: &Envelope, old_key: &PublicKey) -> Result<Self, EnvelopeError> {
        strict_json(&envelope.open(envelope::REPLACE, [old_key])?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    fn set(version: i64, command_keys: &[&SigningKey]) -> KeySet {
        KeySet {
            version,
            root_key: PublicKey::from(&key(1)).to_string(),
            command_keys: command_keys.iter().map(|&key| PublicKey::from(key).to_string()).collect(),
        }
    }

    #[test]
    fn a_set_opens_under_its_root_key_and_only_forward() {
        let root = PublicKey::from(&key(1));
        let envelope = set(5, &[&key(2)]).sign(&key(1));
        assert_eq!(KeySet::claimed_root(&envelope).unwrap(), root);
        assert_eq!(KeySet::open(&envelope, &root, 4).unwrap().command_keys, [PublicKey::from(&key(2))]);
        assert_eq!(KeySet::open(&envelope, &root, 5), Err(KeySetError::Version(5, 5)));
        assert_eq!(KeySet::open(&envelope, &PublicKey::from(&key(3)), 0), Err(KeySetError::Envelope(EnvelopeError::UnknownKey)));
    }

    #[test]
    fn a_set_signed_by_another_root_or_naming_another_is_refused() {
        let root = PublicKey::from(&key(1));
        assert!(KeySet::open(&set(5, &[&key(2)]).sign(&key(2)), &root, 0).is_err());
        let mut other = set(5, &[&key(2)]);
        other.root_key = PublicKey::from(&key(9)).to_string();
        assert_eq!(KeySet::open(&other.sign(&key(1)), &root, 0), Err(KeySetError::Root));
    }

    #[test]
    fn a_removal_names_the_agent_and_the_moment_and_is_signed_with_a_command_key() {
        const NOW: i64 = 1_800_000_000_000;
        let root = PublicKey::from(&key(1));
        let keys = KeySet::open(&set(5, &[&key(2)]).sign(&key(1)), &root, 0).unwrap();
        let removed = Removed { agent_key: PublicKey::from(&key(7)).to_string(), at: NOW };
        let open = |signer: u8, agent: u8, now| {
            Removed::open(&removed.sign(&key(signer)), &keys, &PublicKey::from(&key(agent)).to_string(), now)
        };
        assert_eq!(open(2, 7, NOW + REMOVED_MS), Ok(removed.clone()));
        assert_eq!(open(2, 7, NOW + REMOVED_MS + 1), Err(RemovedError::Stale(NOW, NOW + REMOVED_MS + 1)));
        assert_eq!(open(2, 7, NOW - REMOVED_MS - 1), Err(RemovedError::Stale(NOW, NOW - REMOVED_MS - 1)));
        assert_eq!(open(2, 8, NOW), Err(RemovedError::AgentKey));
        for stranger in [1, 3, 7] {
            assert_eq!(open(stranger, 7, NOW), Err(RemovedError::Envelope(EnvelopeError::UnknownKey)));
        }
        // A document of another kind with the same words.
        let other = Envelope::sign_json(envelope::PAIRING, &removed, &key(2));
        assert!(matches!(
            Removed::open(&other, &keys, &removed.agent_key, NOW),
            Err(RemovedError::Envelope(EnvelopeError::Type(_)))
        ));
    }

    #[test]
    fn a_key_has_one_role() {
        let root = PublicKey::from(&key(1));
        assert_eq!(KeySet::open(&set(5, &[&key(1)]).sign(&key(1)), &root, 0), Err(KeySetError::CommandKeys));
        assert_eq!(KeySet::open(&set(5, &[]).sign(&key(1)), &root, 0), Err(KeySetError::CommandKeys));
    }
}
