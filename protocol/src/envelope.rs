//! DSSE v1 envelopes (secure-systems-lab/dsse): a typed payload with exactly one Ed25519 signature.
//!
//! The payload is signed as bytes and parsed only after the signature held.

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{ids::KeyId, key::PublicKey};

/// A command for one agent ([`crate::command::Command`]).
pub const COMMAND: &str = "application/vnd.online-server-monitor.command.v1+json";
/// A key set ([`crate::keyset::KeySet`]), signed by the root key.
pub const KEY_SET: &str = "application/vnd.online-server-monitor.keyset.v1+json";
/// A pairing ([`crate::keyset::Pairing`]), signed by a command key.
pub const PAIRING: &str = "application/vnd.online-server-monitor.pairing.v1+json";
/// A replacement ([`crate::keyset::Replace`]), signed by an agent's old key.
pub const REPLACE: &str = "application/vnd.online-server-monitor.replace.v1+json";
/// A removal ([`crate::keyset::Removed`]), signed by a command key.
pub const REMOVED: &str = "application/vnd.online-server-monitor.removed.v1+json";

/// The largest envelope an agent looks at, in bytes of its JSON.
pub const SIZE_MAX: usize = 16 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(poem_openapi::Object))]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// Base64 of the payload's bytes.
    pub payload: String,
    #[serde(rename = "payloadType")]
    #[cfg_attr(feature = "server", oai(rename = "payloadType"))]
    pub payload_type: String,
    /// Exactly one.
    pub signatures: Vec<EnvelopeSignature>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(poem_openapi::Object))]
#[serde(deny_unknown_fields)]
pub struct EnvelopeSignature {
    /// JWK thumbprint of the signing key (RFC 7638).
    pub keyid: KeyId,
    /// Base64 of the Ed25519 signature over the pre-authentication encoding.
    pub sig: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EnvelopeError {
    #[error("larger than {SIZE_MAX} bytes")]
    Size,
    #[error("not a DSSE envelope: {0}")]
    Malformed(String),
    #[error("holds {0} signatures; exactly one is allowed")]
    Signatures(usize),
    #[error("signed by a key that is not trusted here")]
    UnknownKey,
    #[error("the signature does not hold")]
    Signature,
    #[error("the payload's type is {0}, not the one expected here")]
    Type(String),
}

impl Envelope {
    /// Signs `payload` as it is.
    #[must_use]
    pub fn sign(payload_type: &str, payload: &[u8], key: &SigningKey) -> Self {
        let signature = key.sign(&pre_authentication_encoding(payload_type, payload));
        Self {
            payload: BASE64.encode(payload),
            payload_type: payload_type.to_owned(),
            signatures: vec![EnvelopeSignature { keyid: PublicKey::from(key).id(), sig: BASE64.encode(&signature.to_bytes()) }],
        }
    }

    /// Signs the JSON of `document`.
    ///
    /// # Panics
    /// When `document` has no JSON form, which is a mistake in its type.
    #[must_use]
    pub fn sign_json<T: Serialize>(payload_type: &str, document: &T, key: &SigningKey) -> Self {
        Self::sign(payload_type, &serde_json::to_vec(document).expect("a document with a JSON form"), key)
    }

    /// Parses untrusted bytes; the size is looked at first.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        if bytes.len() > SIZE_MAX {
            return Err(EnvelopeError::Size);
        }
        strict_json(bytes)
    }

    /// Gives the payload's bytes, when its one signature is by one of `trusted` and its type is `payload_type`.
    /// In this order: key, signature, type.
    pub fn open<'k>(
        &self,
        payload_type: &str,
        trusted: impl IntoIterator<Item = &'k PublicKey>,
    ) -> Result<Vec<u8>, EnvelopeError> {
        let [signature] = self.signatures.as_slice() else {
            return Err(EnvelopeError::Signatures(self.signatures.len()));
        };
        if self.payload.len() + self.payload_type.len() > SIZE_MAX {
            return Err(EnvelopeError::Size);
        }
        let payload = decode("payload", &self.payload)?;
        let sig = decode("sig", &signature.sig)?;
        let key = trusted.into_iter().find(|key| key.id() == signature.keyid).ok_or(EnvelopeError::UnknownKey)?;
        if !key.verifies(&pre_authentication_encoding(&self.payload_type, &payload), &sig) {
            return Err(EnvelopeError::Signature);
        }
        if self.payload_type != payload_type {
            return Err(EnvelopeError::Type(self.payload_type.clone()));
        }
        Ok(payload)
    }
}

/// Parses a document strictly: what it says must be exactly what its type would write. Serde alone also reads structs from
/// arrays, at every depth.
pub fn strict_json<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, EnvelopeError> {
    let malformed = |error: serde_json::Error| EnvelopeError::Malformed(error.to_string());
    let document: T = serde_json::from_slice(bytes).map_err(malformed)?;
    let said: serde_json::Value = serde_json::from_slice(bytes).map_err(malformed)?;
    if serde_json::to_value(&document).map_err(malformed)? == said {
        Ok(document)
    } else {
        Err(EnvelopeError::Malformed("not in the form this document is written in".to_owned()))
    }
}

fn decode(field: &str, text: &str) -> Result<Vec<u8>, EnvelopeError> {
    BASE64.decode(text.as_bytes()).map_err(|_| EnvelopeError::Malformed(format!("{field} is not base64")))
}

/// PAE of DSSE v1: `"DSSEv1" SP LEN(type) SP type SP LEN(body) SP body`, lengths in ASCII decimal.
fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut encoding = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
    encoding.extend_from_slice(payload);
    encoding
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;

    fn rfc_8032_test_1() -> SigningKey {
        let seed = HEXLOWER.decode(b"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60").unwrap();
        SigningKey::from_bytes(&seed.try_into().unwrap())
    }

    #[test]
    fn the_encoding_is_that_of_the_specification() {
        assert_eq!(
            pre_authentication_encoding("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }

    #[test]
    fn the_signature_is_the_known_answer() {
        let envelope = Envelope::sign("http://example.com/HelloWorld", b"hello world", &rfc_8032_test_1());
        let signature = BASE64.decode(envelope.signatures[0].sig.as_bytes()).unwrap();
        assert_eq!(
            HEXLOWER.encode(&signature),
            concat!(
                "e031d7dd99f8aa904abc48fb99a13c3bdbbd6e35c49cf2cb9f25d5509d8f5c94",
                "7c0d22dc2f7403a45bdf24e8f7a41fd23c7b25e898386e8c6c31be8abee60007"
            )
        );
    }

    #[test]
    fn only_the_signed_payload_under_a_trusted_key_and_type_opens() {
        let key = rfc_8032_test_1();
        let public = PublicKey::from(&key);
        let good = Envelope::sign(COMMAND, b"{}", &key);
        assert_eq!(good.open(COMMAND, [&public]).unwrap(), b"{}");

        assert_eq!(good.open(KEY_SET, [&public]), Err(EnvelopeError::Type(COMMAND.to_owned())));
        assert_eq!(good.open(COMMAND, []), Err(EnvelopeError::UnknownKey));

        let mut altered = good.clone();
        altered.payload = BASE64.encode(b"[]");
        assert_eq!(altered.open(COMMAND, [&public]), Err(EnvelopeError::Signature));

        let mut retyped = good.clone();
        KEY_SET.clone_into(&mut retyped.payload_type);
        assert_eq!(retyped.open(KEY_SET, [&public]), Err(EnvelopeError::Signature));

        let mut twice = good.clone();
        twice.signatures.push(good.signatures[0].clone());
        assert_eq!(twice.open(COMMAND, [&public]), Err(EnvelopeError::Signatures(2)));
        twice.signatures.clear();
        assert_eq!(twice.open(COMMAND, [&public]), Err(EnvelopeError::Signatures(0)));

        let mut other_key_named = good;
        other_key_named.signatures[0].keyid = PublicKey::from(&SigningKey::from_bytes(&[7; 32])).id();
        assert_eq!(other_key_named.open(COMMAND, [&public]), Err(EnvelopeError::UnknownKey));
    }

    #[test]
    fn an_extra_field_an_array_and_excess_size_are_refused() {
        let json = serde_json::to_string(&Envelope::sign(COMMAND, b"{}", &rfc_8032_test_1())).unwrap();
        assert!(Envelope::from_slice(json.as_bytes()).is_ok());
        let extra = json.replacen('{', r#"{"x":1,"#, 1);
        assert!(matches!(Envelope::from_slice(extra.as_bytes()), Err(EnvelopeError::Malformed(_))));
        assert!(matches!(Envelope::from_slice(br#"["e30=","t",[]]"#), Err(EnvelopeError::Malformed(_))));
        let nested = br#"{"payload":"e30=","payloadType":"t","signatures":[["k","AA=="]]}"#;
        assert!(matches!(Envelope::from_slice(nested), Err(EnvelopeError::Malformed(_))));
        assert_eq!(Envelope::from_slice(&vec![b' '; SIZE_MAX + 1]), Err(EnvelopeError::Size));
    }
}
