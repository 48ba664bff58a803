//! Ed25519 public keys as text, and the one way a signature is verified.

use std::fmt;

use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha256};

use crate::ids::{Digest, KeyId};

/// An Ed25519 public key. Its text is base64url without padding (43 characters), as `x` of a JWK is (RFC 8037).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    #[error("not an Ed25519 public key in base64url (43 characters)")]
    Malformed,
    #[error("an Ed25519 key of small order, under which forgeries verify")]
    Weak,
}

impl PublicKey {
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| KeyError::Malformed)?;
        Self::from_bytes(&bytes)
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Malformed)?;
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Malformed)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(Self(key)) }
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Computes the JWK thumbprint (RFC 7638, key type OKP of RFC 8037): the `keyid` of every signature.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{self}"}}"#);
        Digest(Sha256::digest(jwk.as_bytes()).into()).into()
    }

    /// Gives what a person compares: the first 16 characters of the thumbprint in groups of four.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let id = self.id().to_string();
        id.as_bytes()[..16].chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect::<Vec<_>>().join(" ")
    }

    /// `verify_strict`, never `verify`: the latter accepts forgeries under small-order keys and malleable signatures.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl From<&SigningKey> for PublicKey {
    fn from(key: &SigningKey) -> Self {
        Self(key.verifying_key())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(self.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn hex(text: &str) -> Vec<u8> {
        HEXLOWER.decode(text.as_bytes()).unwrap()
    }

    #[test]
    fn rfc_8032_test_1_verifies_and_any_changed_bit_does_not() {
        let key = PublicKey::from_bytes(&hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")).unwrap();
        let signature = hex(concat!(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ));
        assert!(key.verifies(b"", &signature));
        for bit in 0..512 {
            let mut forged = signature.clone();
            forged[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.verifies(b"", &forged), "bit {bit}");
        }
        assert!(!key.verifies(b"", &signature[..63]));
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_8037_appendix_a3() {
        let key = PublicKey::parse("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(key.id().to_string(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }

    #[test]
    fn small_order_keys_are_refused_by_name() {
        // Points of order 1, 2, 4 and 8.
        for point in [
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        ] {
            assert_eq!(PublicKey::from_bytes(&hex(point)), Err(KeyError::Weak), "{point}");
        }
        assert_eq!(PublicKey::parse("short"), Err(KeyError::Malformed));
    }
}
