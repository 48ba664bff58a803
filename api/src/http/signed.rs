//! The one way in for agents' bodies: the signature first, then bytes within limits that are held against its digest as they
//! arrive, then one parse.

use std::sync::Arc;

use osm_protocol::{
    key::PublicKey,
    messages::{PairRequest, Validate},
    objects,
    request_signature::{BodyDigest, Received, SignatureError, Target},
};
use poem::{Request, RequestBody};
use poem_openapi::{
    ApiExtractor, ApiExtractorType, ExtractParamOptions,
    registry::{MetaMediaType, MetaRequest, MetaSecurityScheme, Registry},
    types::Type,
};
use serde::de::DeserializeOwned;

use crate::{
    domain::ids::ServerId,
    error::{Error, Refusal, Result},
    http::{
        address,
        body::{Allowed, read as read_body, read_signed},
        budget::Room,
        keys::{self, Found, Owner},
        rate::Place,
        state::{Http, is_known},
    },
};

const SCHEME: &str = "agent-signature";
/// When to come again, seconds, where something is still under way.
pub(super) const RETRY_S: u64 = 5;

/// Who sent a request, proven.
pub struct Caller {
    pub server_id: ServerId,
    pub key: Arc<PublicKey>,
    pub address: String,
    /// Of the request, for its answer.
    pub nonce: String,
}

/// A signed request with a JSON body.
pub struct SignedJson<T> {
    pub caller: Caller,
    pub body: T,
    /// Given back when the request is answered.
    pub held: Held,
}

/// What a request with a body takes up: a place of its key, and room.
pub struct Held {
    _place: Place<ServerId>,
    _room: Room,
}

/// A signed request without a body.
pub struct Signed(pub Caller);

/// A pairing request, signed with the key that it brings.
pub struct SelfSigned {
    pub body: PairRequest,
    pub key: PublicKey,
    pub address: String,
    /// Given back when the request is answered.
    pub held: Room,
}

impl<T: DeserializeOwned + Validate> SignedJson<T> {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self> {
        let (caller, digest) = authenticate(request).await?;
        let http = http(request)?;
        let place = http.limits.bodies_at_once.enter(caller.server_id).ok_or(Refusal::TooManyOfKey { retry_after_s: RETRY_S })?;
        let taken = read_signed(request, body, &http.budget, Allowed::KNOWN, Some(digest)).await?;
        let body = parse(request, &taken.bytes)?;
        Ok(Self { caller, body, held: Held { _place: place, _room: taken.room } })
    }
}

impl Signed {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self> {
        let (caller, digest) = authenticate(request).await?;
        // It is signed too, and says nothing.
        read_signed(request, body, &http(request)?.budget, Allowed::NOTHING, Some(digest)).await?;
        Ok(Self(caller))
    }
}

impl SelfSigned {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self> {
        let http = http(request)?;
        let address = http.address(request);
        if let Some(address) = address {
            let taken = http.limits.pairings.take(address::subscriber(address), http.core.clock.steady());
            taken.map_err(|retry_after_s| Refusal::TooMany { retry_after_s })?;
        }
        let received = received(request)?;
        let taken = read_body(request, body, &http.budget, Allowed::PAIRING).await?;
        let body: PairRequest = parse(request, &taken.bytes)?;
        let key = PublicKey::parse(&body.agent_key).map_err(|error| Refusal::Invalid(format!("agent_key: {error}")))?;
        if received.keyid != key.id() {
            return Err(Refusal::Signature("a pairing is signed with the key in agent_key".to_owned()).into());
        }
        let mut digest = verify(http, request, &received, &key)?;
        digest.take(&taken.bytes);
        digest.check().map_err(|error| Refusal::Signature(error.to_string()))?;
        Ok(Self { body, key, address: address.map(|address| address.to_string()).unwrap_or_default(), held: taken.room })
    }
}

/// Gives who sends this, by the headers alone: the signature covers them and the digest of the body. Whoever cannot sign has no
/// byte of their body read, and takes up nothing of the key that they name.
async fn authenticate(request: &Request) -> Result<(Caller, BodyDigest)> {
    let http = http(request)?;
    let received = received(request)?;
    let owner = match http.keys.find(received.keyid, http.core.clock.steady()) {
        Found::Owner(owner) => owner,
        Found::Stale => look_up(http, request, &received).await?,
        Found::Unknown => unknown(http, request, &received).await?,
    };
    let digest = verify(http, request, &received, &owner.key)?;
    is_known(request);
    let calls = http.limits.calls.take(owner.server_id, http.core.clock.steady());
    calls.map_err(|retry_after_s| Refusal::TooManyOfKey { retry_after_s })?;
    let address = http.address(request).map(|address| address.to_string());
    Ok((
        Caller { server_id: owner.server_id, key: owner.key, address: address.unwrap_or_default(), nonce: received.nonce },
        digest,
    ))
}

/// Looks for a key that is not known here. An address may ask for some; when it has, all keys are read at once, so that somebody
/// there who asks for thousands keeps nobody out whose key was paired by another instance.
async fn unknown(http: &Http, request: &Request, received: &Received) -> Result<Owner> {
    let _request = http.budget.stranger()?;
    match http.stranger(request) {
        Ok(()) => look_up(http, request, received).await,
        Err(refusal) => {
            http.keys.reload(&http.core).await?;
            match http.keys.find(received.keyid, http.core.clock.steady()) {
                Found::Owner(owner) => Ok(owner),
                Found::Stale | Found::Unknown => Err(refusal),
            }
        }
    }
}

/// Asks the database. That a server was removed, only the holder of its key is told.
async fn look_up(http: &Http, request: &Request, received: &Received) -> Result<Owner> {
    match http.keys.look_up(&http.core, received.keyid).await? {
        keys::Held::Owner(owner) => Ok(owner),
        keys::Held::Nobody => Err(Refusal::UnknownKey.into()),
        keys::Held::Removed(key) => {
            verify(http, request, received, &key)?;
            Err(http.prove(&key, Refusal::Removed(None).into()))
        }
    }
}

fn received(request: &Request) -> Result<Received> {
    let input = only_header(request, "Signature-Input")?;
    let signature = only_header(request, "Signature")?;
    Ok(Received::parse(input, signature).map_err(|error| Refusal::Signature(error.to_string()))?)
}

fn verify(http: &Http, request: &Request, received: &Received, key: &PublicKey) -> Result<BodyDigest> {
    let digest = only_header(request, "Content-Digest")?;
    let authority = http.core.config.public_url.authority.as_str();
    let uri = request.original_uri();
    let target = Target { method: request.method().as_str(), authority, path: uri.path(), query: uri.query() };
    let now = http.core.clock.now();
    received.verify(target, digest, key, now / 1000).map_err(|error| {
        match error {
            SignatureError::Stale { created, now: seconds } => Refusal::ClockSkew { skew_s: created - seconds, now },
            SignatureError::Signature => Refusal::Signature(format!(
                "{error}; it must be made for the authority {authority} (OSM_PUBLIC_URL), the method, path, query and body that arrived here"
            )),
            other => Refusal::Signature(other.to_string()),
        }
        .into()
    })
}

fn only_header<'a>(request: &'a Request, name: &'static str) -> Result<&'a str> {
    let mut values = request.headers().get_all(name).iter();
    match (values.next().and_then(|value| value.to_str().ok()), values.next()) {
        (Some(value), None) => Ok(value),
        _ => Err(Refusal::Signature(SignatureError::Header(name).to_string()).into()),
    }
}

/// Reads a body and holds it against its limits: the one home of validation.
fn parse<T: DeserializeOwned + Validate>(request: &Request, bytes: &[u8]) -> Result<T> {
    let body: T = objects::from_slice(bytes)
        .map_err(|error| Refusal::Malformed(format!("the body is not what is expected here: {error}")))?;
    let now = http(request)?.core.clock.now();
    body.validate(now).map_err(|invalid| Refusal::Invalid(invalid.to_string()))?;
    Ok(body)
}

fn http(request: &Request) -> Result<&Http> {
    request.data::<Arc<Http>>().map(AsRef::as_ref).ok_or_else(|| Error::internal("no shared state"))
}

fn register_scheme(registry: &mut Registry) {
    registry.create_security_scheme(SCHEME, MetaSecurityScheme {
        ty: "apiKey",
        description: Some(
            "HTTP Message Signature (RFC 9421) by the agent's Ed25519 key, in the profile described above; comes with the headers \
             Signature-Input and Content-Digest.",
        ),
        name: Some("Signature"),
        key_in: Some("header"),
        scheme: None,
        bearer_format: None,
        flows: None,
        openid_connect_url: None,
    });
}

fn json_body<T: Type>() -> MetaRequest {
    MetaRequest {
        description: None,
        content: vec![MetaMediaType { content_type: "application/json", schema: T::schema_ref() }],
        required: true,
    }
}

/// How the extractors appear in the OpenAPI document, and how poem-openapi calls them.
macro_rules! describe {
    ([$($generics:tt)*] $extractor:ty, body: $body:ty) => {
        describe!(@ [$($generics)*] $extractor, &[ApiExtractorType::RequestObject, ApiExtractorType::SecurityScheme],
            |registry: &mut Registry| <$body>::register(registry), Some(json_body::<$body>()));
    };
    ([$($generics:tt)*] $extractor:ty) => {
        describe!(@ [$($generics)*] $extractor, &[ApiExtractorType::SecurityScheme], |_: &mut Registry| (), None);
    };
    (@ [$($generics:tt)*] $extractor:ty, $types:expr, $register:expr, $meta:expr) => {
        impl<'a, $($generics)*> ApiExtractor<'a> for $extractor {
            const TYPES: &'static [ApiExtractorType] = $types;
            type ParamType = ();
            type ParamRawType = ();

            fn register(registry: &mut Registry) {
                register_scheme(registry);
                $register(registry);
            }

            fn security_schemes() -> Vec<&'static str> {
                vec![SCHEME]
            }

            fn request_meta() -> Option<MetaRequest> {
                $meta
            }

            async fn from_request(
                request: &'a Request,
                body: &mut RequestBody,
                _options: ExtractParamOptions<()>,
            ) -> poem::Result<Self> {
                Ok(Self::read(request, body).await?)
            }
        }
    };
}

describe!([T: DeserializeOwned + Validate + Type + Send] SignedJson<T>, body: T);
describe!([] SelfSigned, body: PairRequest);
describe!([] Signed);
