//! What is kept of a pairing.

use anyhow::{Context as _, Result, anyhow};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::SigningKey;
use osm_protocol::{envelope::Envelope, ids::ServerId, key::PublicKey};
use serde::{Deserialize, Serialize};

/// A pairing that the backend has confirmed. One file, so that key and server change together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairing {
    /// Where the backend is, as given to `pair --api`.
    pub api: String,
    pub server_id: ServerId,
    /// The name the server had in the chat when it was paired.
    pub name: String,
    pub key: SecretKey,
    /// The root public key that the token vouched for.
    pub root_key: String,
    /// The key set that came with the answer; a newer one is in `keys.json`.
    pub key_set: Envelope,
    /// App-specific hash of the machine id at that time.
    pub machine: String,
    /// SHA-256 of the token: the same line run again is the same pairing again.
    pub token_hash: String,
}

/// A pairing under way: kept until the answer was seen, so that the same token is tried again with the same key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    pub token_hash: String,
    pub key: SecretKey,
}

/// An Ed25519 seed, base64url. It has no Display, and its Debug says nothing.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SecretKey(String);

impl From<&SigningKey> for SecretKey {
    fn from(key: &SigningKey) -> Self {
        Self(BASE64URL_NOPAD.encode(&key.to_bytes()))
    }
}

impl SecretKey {
    pub fn signing_key(&self) -> Result<SigningKey> {
        let seed = BASE64URL_NOPAD.decode(self.0.as_bytes()).ok().and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        Ok(SigningKey::from_bytes(&seed.ok_or_else(|| anyhow!("the agent's key on disk is damaged; pair this server again"))?))
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl Pairing {
    /// Reads the pinned root key.
    pub fn root(&self) -> Result<PublicKey> {
        PublicKey::parse(&self.root_key).context("the pinned root key on disk is damaged; pair this server again")
    }

    /// Gives what a person compares with what the chat shows.
    pub fn fingerprint(&self) -> Result<String> {
        Ok(PublicKey::from(&self.key.signing_key()?).fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_key_is_never_shown() {
        let key = SecretKey::from(&SigningKey::from_bytes(&[7; 32]));
        assert_eq!(format!("{key:?}"), "SecretKey(…)");
        assert_eq!(key.signing_key().unwrap().to_bytes(), [7; 32]);
        assert!(SecretKey("AAAA".to_owned()).signing_key().is_err());
    }
}
