//! The agent's signature on each HTTP request: a fixed profile of HTTP Message Signatures (RFC 9421) with a
//! Content-Digest (RFC 9530).
//!
//! Exactly one signature over exactly [`COMPONENTS`] in this order; any label, any order of parameters. The base is
//! rebuilt from what was received, so that every conforming signer is understood.

use data_encoding::BASE64;
use ed25519_dalek::{Signer, SigningKey};
use sfv::{
    BareItem, Dictionary, FieldType, InnerList, Item, KeyRef, ListEntry, Parser,
    visitor::{DictionaryVisitor, EntryVisitor, Ignored},
};
use sha2::{Digest, Sha256};

use crate::{ids::KeyId, key::PublicKey};

/// What is signed, in this order.
pub const COMPONENTS: [&str; 5] = ["@method", "@authority", "@path", "@query", "content-digest"];
/// Keeps signatures made for anything else from being used here.
pub const TAG: &str = "osm-agent-v1";
const ALGORITHM: &str = "ed25519";
/// How far `created` may be from the backend's clock, seconds.
pub const TOLERANCE_S: i64 = 60;
/// Longest header this profile looks at, bytes.
const HEADER_MAX: usize = 1024;
/// Longest nonce, bytes.
const NONCE_MAX: usize = 64;

/// What a request is aimed at, as both sides know it.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Upper case.
    pub method: &'a str,
    /// Lower case, without the scheme's default port.
    pub authority: &'a str,
    pub path: &'a str,
    /// Without the `?`.
    pub query: Option<&'a str>,
}

/// The three headers of a signed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Headers {
    pub content_digest: String,
    pub signature_input: String,
    pub signature: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    #[error("the {0} header is missing, sent twice, too long or not a structured field (RFC 9651)")]
    Header(&'static str),
    #[error("exactly one signature is allowed, with one label in Signature-Input and Signature")]
    Labels,
    #[error("the covered components must be exactly (\"@method\" \"@authority\" \"@path\" \"@query\" \"content-digest\")")]
    Components,
    #[error("the parameter {0} is missing or is not what this profile asks for")]
    Parameter(&'static str),
    #[error("the body does not have the digest in Content-Digest")]
    Digest,
    #[error("created is {created}, and the time here is {now}: more than {TOLERANCE_S} s apart")]
    Stale { created: i64, now: i64 },
    #[error("the signature does not hold for this request")]
    Signature,
}

/// `Content-Digest` of a body (RFC 9530, sha-256); an empty body has one too.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64.encode(&Sha256::digest(body)))
}

/// Signs a request. `created` is in seconds of the backend's clock; `nonce` is fresh for each request.
///
/// # Panics
/// When `nonce` is not ASCII, which is the caller's mistake.
#[must_use]
pub fn sign(target: Target<'_>, body: &[u8], key: &SigningKey, created: i64, nonce: &str) -> Headers {
    let content_digest = content_digest(body);
    let keyid = PublicKey::from(key).id();
    let string = |text: &str| BareItem::from(sfv::String::from_string(text.to_owned()).expect("ASCII"));
    let mut input = InnerList::new(COMPONENTS.iter().map(|component| Item::new(string(component))).collect());
    let created = BareItem::from(sfv::Integer::try_from(created).expect("a time within 15 digits"));
    for (name, value) in [
        ("created", created),
        ("keyid", string(&keyid.to_string())),
        ("nonce", string(nonce)),
        ("alg", string(ALGORITHM)),
        ("tag", string(TAG)),
    ] {
        input.params.insert(KeyRef::constant(name).to_owned(), value);
    }
    let base = base_of(target, &content_digest, &input);
    let signature = key.sign(base.as_bytes()).to_bytes();
    Headers {
        content_digest,
        signature_input: format!("osm={}", serialize(&input)),
        signature: format!("osm=:{}:", BASE64.encode(&signature)),
    }
}

/// The digest that a body must have, and what has arrived of the body so far.
pub struct BodyDigest {
    signed: Vec<u8>,
    arrived: Sha256,
}

impl BodyDigest {
    /// Takes the next bytes of the body in.
    pub fn take(&mut self, bytes: &[u8]) {
        self.arrived.update(bytes);
    }

    /// Tells whether all that arrived is the body that was signed.
    pub fn check(self) -> Result<(), SignatureError> {
        if self.arrived.finalize().as_slice() == self.signed { Ok(()) } else { Err(SignatureError::Digest) }
    }
}

/// A signature as received: well-formed and of this profile, not yet verified.
#[derive(Debug)]
pub struct Received {
    input: InnerList,
    signature: Vec<u8>,
    /// Thumbprint of the key that claims to have signed.
    pub keyid: KeyId,
    /// Seconds since the Unix epoch.
    pub created: i64,
    /// Stands in the answer again.
    pub nonce: String,
}

impl Received {
    /// Reads the two headers of RFC 9421.
    pub fn parse(signature_input: &str, signature: &str) -> Result<Self, SignatureError> {
        let (label, input) = only_entry(signature_input, "Signature-Input")?;
        let ListEntry::InnerList(input) = input else { return Err(SignatureError::Header("Signature-Input")) };
        let (signature_label, signature) = only_entry(signature, "Signature")?;
        if label != signature_label {
            return Err(SignatureError::Labels);
        }
        let ListEntry::Item(Item { bare_item: BareItem::ByteSequence(signature), .. }) = signature else {
            return Err(SignatureError::Header("Signature"));
        };

        let exact = input.items.len() == COMPONENTS.len()
            && input.items.iter().zip(COMPONENTS).all(|(item, component)| {
                item.params.is_empty() && item.bare_item.as_string().is_some_and(|name| name.as_str() == component)
            });
        if !exact {
            return Err(SignatureError::Components);
        }
        let text = |name: &'static str| {
            input
                .params
                .get(KeyRef::constant(name))
                .and_then(|value| value.as_string())
                .map(|value| value.as_str().to_owned())
                .ok_or(SignatureError::Parameter(name))
        };
        if text("alg")? != ALGORITHM {
            return Err(SignatureError::Parameter("alg"));
        }
        if text("tag")? != TAG {
            return Err(SignatureError::Parameter("tag"));
        }
        let nonce = text("nonce")?;
        if !(1..=NONCE_MAX).contains(&nonce.len()) {
            return Err(SignatureError::Parameter("nonce"));
        }
        // An expiry of the signer's own would have to be honoured; this profile has none.
        if input.params.len() != 5 {
            return Err(SignatureError::Parameter("list"));
        }
        let keyid = text("keyid")?.parse().map_err(|_| SignatureError::Parameter("keyid"))?;
        let created = input
            .params
            .get(KeyRef::constant("created"))
            .and_then(BareItem::as_integer)
            .map(i64::from)
            .ok_or(SignatureError::Parameter("created"))?;
        Ok(Self { input, signature, keyid, created, nonce })
    }

    /// Tells whether the request is the one that `key` signed, before a byte of its body is read: the signature covers the header
    /// Content-Digest (`digest`, RFC 9530), and the body is held against that as it arrives.
    ///
    /// The signature is judged before the time, so that only the key's holder learns the backend's clock.
    pub fn verify(&self, target: Target<'_>, digest: &str, key: &PublicKey, now: i64) -> Result<BodyDigest, SignatureError> {
        let signed = sha_256(digest)?;
        let base = base_of(target, digest.trim(), &self.input);
        if !key.verifies(base.as_bytes(), &self.signature) {
            return Err(SignatureError::Signature);
        }
        if self.created.abs_diff(now) > TOLERANCE_S.unsigned_abs() {
            return Err(SignatureError::Stale { created: self.created, now });
        }
        Ok(BodyDigest { signed, arrived: Sha256::new() })
    }
}

/// Gives the signature base of RFC 9421 §2.5, from component identifiers with their values and the serialized parameters.
fn signature_base<'a>(components: impl IntoIterator<Item = (&'a str, &'a str)>, parameters: &str) -> String {
    let mut base = String::with_capacity(512);
    for (name, value) in components {
        base.extend(["\"", name, "\": ", value, "\n"]);
    }
    base.extend(["\"@signature-params\": ", parameters]);
    base
}

fn base_of(target: Target<'_>, content_digest: &str, input: &InnerList) -> String {
    let query = format!("?{}", target.query.unwrap_or_default());
    let values = [target.method, target.authority, target.path, &query, content_digest];
    signature_base(COMPONENTS.into_iter().zip(values), &serialize(input))
}

/// Looks only at sha-256, and only accepts a header that names nothing else.
fn sha_256(header: &str) -> Result<Vec<u8>, SignatureError> {
    let (algorithm, digest) = only_entry(header, "Content-Digest")?;
    match digest {
        ListEntry::Item(Item { bare_item: BareItem::ByteSequence(digest), .. }) if algorithm == "sha-256" => Ok(digest),
        _ => Err(SignatureError::Digest),
    }
}

fn only_entry(header: &str, name: &'static str) -> Result<(String, ListEntry), SignatureError> {
    if header.len() > HEADER_MAX {
        return Err(SignatureError::Header(name));
    }
    let dictionary: Dictionary = Parser::new(header).parse().map_err(|_| SignatureError::Header(name))?;
    let mut entries = Entries(0);
    Parser::new(header).parse_dictionary_with_visitor(&mut entries).map_err(|_| SignatureError::Header(name))?;
    match (dictionary.into_iter().next(), entries.0) {
        (Some((label, entry)), 1) => Ok((label.as_str().to_owned(), entry)),
        _ => Err(SignatureError::Labels),
    }
}

/// Counts the entries of a dictionary as they were written: of several with one label, RFC 9651 keeps the last.
struct Entries(usize);

impl<'de> DictionaryVisitor<'de> for Entries {
    type Error = std::convert::Infallible;

    fn entry(&mut self, _label: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Self::Error> {
        self.0 += 1;
        Ok(Ignored)
    }
}

/// Gives an inner list in the canonical form of RFC 9651.
fn serialize(input: &InnerList) -> String {
    vec![ListEntry::InnerList(input.clone())].serialize().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64URL_NOPAD;

    const BODY: &[u8] = br#"{"hello": "world"}"#;
    const NOW: i64 = 1_800_000_000;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[5; 32])
    }

    fn target() -> Target<'static> {
        Target { method: "POST", authority: "osm.example", path: "/agent/v1/reports", query: None }
    }

    fn verify(headers: &Headers, target: Target<'_>, body: &[u8], now: i64) -> Result<(), SignatureError> {
        let received = Received::parse(&headers.signature_input, &headers.signature)?;
        let mut digest = received.verify(target, &headers.content_digest, &PublicKey::from(&key()), now)?;
        let (first, rest) = body.split_at(body.len() / 2);
        digest.take(first);
        digest.take(rest);
        digest.check()
    }

    /// RFC 9421, appendix B.2.6, with the key test-key-ed25519 of B.1.4.
    #[test]
    fn the_rfcs_own_example_has_our_base_and_verifies() {
        let key = PublicKey::parse("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs").unwrap();
        let parameters = concat!(
            r#"("date" "@method" "@path" "@authority" "content-type" "content-length")"#,
            r#";created=1618884473;keyid="test-key-ed25519""#
        );
        let base = signature_base(
            [
                ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
                ("@method", "POST"),
                ("@path", "/foo"),
                ("@authority", "example.com"),
                ("content-type", "application/json"),
                ("content-length", "18"),
            ],
            parameters,
        );
        let signature =
            BASE64.decode(b"wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==").unwrap();
        assert!(key.verifies(base.as_bytes(), &signature));

        // The same key signs the same base to the same signature: Ed25519 is deterministic.
        let seed = BASE64URL_NOPAD.decode(b"n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU").unwrap();
        let signer = SigningKey::from_bytes(&seed.try_into().unwrap());
        assert_eq!(signer.sign(base.as_bytes()).to_bytes().as_slice(), signature);
    }

    #[test]
    fn a_signed_request_verifies_and_a_changed_one_does_not() {
        let headers = sign(target(), BODY, &key(), NOW, "n1");
        assert_eq!(verify(&headers, target(), BODY, NOW), Ok(()));
        let other = |change: fn(&mut Target<'static>)| {
            let mut target = target();
            change(&mut target);
            verify(&headers, target, BODY, NOW)
        };
        assert_eq!(other(|target| target.method = "PUT"), Err(SignatureError::Signature));
        assert_eq!(other(|target| target.authority = "evil.example"), Err(SignatureError::Signature));
        assert_eq!(other(|target| target.path = "/agent/v1/pair"), Err(SignatureError::Signature));
        assert_eq!(other(|target| target.query = Some("a=b")), Err(SignatureError::Signature));
        assert_eq!(verify(&headers, target(), b"{}", NOW), Err(SignatureError::Digest));
        let mut swapped = headers.clone();
        swapped.content_digest = content_digest(b"{}");
        assert_eq!(verify(&swapped, target(), b"{}", NOW), Err(SignatureError::Signature));
    }

    #[test]
    fn time_is_judged_after_the_signature() {
        let headers = sign(target(), BODY, &key(), NOW, "n1");
        assert_eq!(verify(&headers, target(), BODY, NOW + TOLERANCE_S), Ok(()));
        assert_eq!(
            verify(&headers, target(), BODY, NOW - TOLERANCE_S - 1),
            Err(SignatureError::Stale { created: NOW, now: NOW - TOLERANCE_S - 1 })
        );
        let mut forged = headers;
        forged.signature = format!("osm=:{}:", BASE64.encode(&[0; 64]));
        assert_eq!(verify(&forged, target(), BODY, NOW + 1000), Err(SignatureError::Signature));
    }

    #[test]
    fn any_label_and_any_order_of_parameters_is_understood() {
        let list = r#"("@method" "@authority" "@path" "@query" "content-digest")"#;
        let parameters = format!(
            r#"{list};tag="osm-agent-v1";alg="ed25519";nonce="x";keyid="{}";created={NOW}"#,
            PublicKey::from(&key()).id()
        );
        let digest = content_digest(BODY);
        let values = ["POST", "osm.example", "/agent/v1/reports", "?", digest.as_str()];
        let base = signature_base(COMPONENTS.into_iter().zip(values), &parameters);
        let headers = Headers {
            content_digest: digest.clone(),
            signature_input: format!("sig1={parameters}"),
            signature: format!("sig1=:{}:", BASE64.encode(&key().sign(base.as_bytes()).to_bytes())),
        };
        assert_eq!(verify(&headers, target(), BODY, NOW), Ok(()));
    }

    #[test]
    fn two_signatures_a_left_out_component_and_foreign_parameters_are_refused() {
        let good = sign(target(), BODY, &key(), NOW, "n1");
        let broken = |change: &dyn Fn(&mut Headers)| {
            let mut headers = good.clone();
            change(&mut headers);
            verify(&headers, target(), BODY, NOW).unwrap_err()
        };
        let second = |header: &str| format!("{header}, {}", header.replacen("osm=", "two=", 1));
        assert_eq!(
            broken(&|h| (h.signature_input, h.signature) = (second(&h.signature_input), second(&h.signature))),
            SignatureError::Labels
        );
        // Finding 15: of two with one label, the last would win.
        let twice = |header: &str| format!("{header}, {header}");
        assert_eq!(broken(&|h| h.signature = twice(&h.signature)), SignatureError::Labels);
        assert_eq!(broken(&|h| h.signature_input = twice(&h.signature_input)), SignatureError::Labels);
        assert_eq!(broken(&|h| h.content_digest = twice(&h.content_digest)), SignatureError::Labels);
        assert_eq!(broken(&|h| h.signature = h.signature.replacen("osm", "two", 1)), SignatureError::Labels);
        assert_eq!(broken(&|h| h.signature_input = h.signature_input.replace("\"@query\" ", "")), SignatureError::Components);
        assert_eq!(
            broken(&|h| h.signature_input = h.signature_input.replace("\"@path\"", "\"@path\";req")),
            SignatureError::Components
        );
        assert_eq!(
            broken(&|h| h.signature_input = h.signature_input.replace("ed25519", "hmac-sha256")),
            SignatureError::Parameter("alg")
        );
        assert_eq!(broken(&|h| h.signature_input = h.signature_input.replace(TAG, "other")), SignatureError::Parameter("tag"));
        assert_eq!(broken(&|h| h.signature_input.push_str(";expires=1")), SignatureError::Parameter("list"));
        assert_eq!(broken(&|h| h.signature_input = "x".repeat(2000)), SignatureError::Header("Signature-Input"));
        assert_eq!(broken(&|h| h.content_digest = "md5=:AAAA:".to_owned()), SignatureError::Digest);
    }

    #[test]
    fn hostile_bytes_never_panic() {
        let good = sign(target(), BODY, &key(), NOW, "n1");
        for cut in 0..good.signature_input.len() {
            assert!(
                verify(&Headers { signature_input: good.signature_input[..cut].to_owned(), ..good.clone() }, target(), BODY, NOW)
                    .is_err()
            );
        }
        for byte in 0..=127_u8 {
            let hostile = format!("osm={}", char::from(byte));
            let _ = Received::parse(&hostile, &good.signature);
            let _ = Received::parse(&good.signature_input, &hostile);
        }
    }
}
