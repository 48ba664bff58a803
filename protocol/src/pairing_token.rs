//! The one-time token that travels through the chat: 128 random bits, and 128 bits that pin the backend's root key.
//! So the chat, not the network, tells the agent which backend to trust.

use std::sync::LazyLock;

use data_encoding::{Encoding, HEXLOWER, Specification};
use sha2::{Digest, Sha256};

use crate::key::PublicKey;

/// Marks a token for people and for scanners of leaked secrets.
const PREFIX: &str = "OSM1-";

/// Crockford's base32: no I, L, O, U; reads lower case, `I` and `L` as 1, `O` as 0.
static CROCKFORD: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789ABCDEFGHJKMNPQRSTVWXYZ");
    specification.translate.from.push_str("abcdefghjkmnpqrstvwxyzIiLlOo");
    specification.translate.to.push_str("ABCDEFGHJKMNPQRSTVWXYZ111100");
    // Hyphens may be put between groups, as Crockford allows.
    specification.ignore.push('-');
    specification.check_trailing_bits = true;
    specification.encoding().expect("a constant specification")
});

#[derive(Clone, PartialEq, Eq)]
pub struct PairingToken {
    secret: [u8; 16],
    root_pin: [u8; 16],
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "this is not a pairing token: it starts with {PREFIX} and has 52 letters and digits after it; copy it again from the chat"
)]
pub struct TokenError;

impl PairingToken {
    #[must_use]
    pub fn new(secret: [u8; 16], root: &PublicKey) -> Self {
        Self { secret, root_pin: pin(root) }
    }

    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        let (prefix, body) = text.split_at_checked(PREFIX.len()).ok_or(TokenError)?;
        if !prefix.eq_ignore_ascii_case(PREFIX) || body.len() > 128 {
            return Err(TokenError);
        }
        let bytes = CROCKFORD.decode(body.as_bytes()).map_err(|_| TokenError)?;
        let (secret, root_pin) = bytes.split_at_checked(16).ok_or(TokenError)?;
        Ok(Self { secret: secret.try_into().map_err(|_| TokenError)?, root_pin: root_pin.try_into().map_err(|_| TokenError)? })
    }

    /// Gives the one text of this token: what is hashed, shown and sent.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{PREFIX}{}", CROCKFORD.encode(&[self.secret, self.root_pin].concat()))
    }

    /// SHA-256 of the text, hexadecimal: all that the backend stores.
    #[must_use]
    pub fn hash(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.text().as_bytes()))
    }

    /// Tells whether `root` is the key this token vouches for.
    #[must_use]
    pub fn pins(&self, root: &PublicKey) -> bool {
        self.root_pin == pin(root)
    }
}

/// No `Display`: a token is written out only where `text` is called.
impl std::fmt::Debug for PairingToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PairingToken(…)")
    }
}

fn pin(root: &PublicKey) -> [u8; 16] {
    let digest = Sha256::digest(root.as_bytes());
    digest[..16].try_into().expect("SHA-256 has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn root(seed: u8) -> PublicKey {
        PublicKey::from(&SigningKey::from_bytes(&[seed; 32]))
    }

    #[test]
    fn a_token_survives_its_text_and_pins_one_root_key() {
        let token = PairingToken::new([0xA5; 16], &root(1));
        let text = token.text();
        assert_eq!(text.len(), PREFIX.len() + 52);
        assert_eq!(PairingToken::parse(&text), Ok(token.clone()));
        assert!(token.pins(&root(1)));
        assert!(!token.pins(&root(2)));
    }

    #[test]
    fn what_people_do_to_a_token_is_forgiven() {
        let token = PairingToken::new([0; 16], &root(1));
        let typed =
            format!("  {}\n", token.text().to_lowercase().replace('0', "o").replace('1', "l").replacen("osml-", "osm1-", 1));
        let parsed = PairingToken::parse(&typed).unwrap();
        assert_eq!(parsed.hash(), token.hash());
    }

    #[test]
    fn anything_else_is_refused_and_never_shown() {
        let text = PairingToken::new([1; 16], &root(1)).text();
        for bad in ["", "OSM1-", &text[..56], &format!("{text}0"), &text.replace("OSM1", "OSM2"), "ÖSM1-0", &"-".repeat(500)] {
            assert_eq!(PairingToken::parse(bad), Err(TokenError), "{bad}");
        }
        assert_eq!(format!("{:?}", PairingToken::parse(&text).unwrap()), "PairingToken(…)");
    }
}
