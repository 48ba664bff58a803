//! The one way in for agents' bodies: bytes with a limit, digest and signature over those bytes, then one parse.

use std::{net::IpAddr, sync::Arc};

use osm_protocol::{
    ids::KeyId,
    key::PublicKey,
    messages::{PairRequest, Validate},
    request_signature::{Content, Received, SignatureError, Target},
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
    http::{address, body::read_limited, state::Http},
    store::servers,
};

const SCHEME: &str = "agent-signature";

/// Who sent a request, proven.
pub struct Caller {
    pub server_id: ServerId,
    pub address: String,
}

/// A signed request with a JSON body.
pub struct SignedJson<T> {
    pub caller: Caller,
    pub body: T,
}

/// A signed request without a body.
pub struct Signed(pub Caller);

/// A pairing request, signed with the key that it brings.
pub struct SelfSigned {
    pub body: PairRequest,
    pub key: PublicKey,
    pub address: String,
}

impl<T: DeserializeOwned + Validate> SignedJson<T> {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self> {
        let (caller, bytes) = authenticate(request, body).await?;
        Ok(Self { caller, body: parse(request, &bytes)? })
    }
}

impl Signed {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self> {
        authenticate(request, body).await.map(|(caller, _)| Self(caller))
    }
}

impl SelfSigned {
    async fn read(request: &Request, body: &mut RequestBody) -> Result<Self> {
        let http = http(request)?;
        let address = address::of(request, &http.core.config.trusted_proxies);
        if let Some(address) = address {
            let now = http.core.clock.steady();
            http.pairings.take(address::subscriber(address), now).map_err(|retry_after_s| Refusal::TooMany { retry_after_s })?;
        }
        let bytes = read_body(body).await?;
        let body: PairRequest = parse(request, &bytes)?;
        let key = PublicKey::parse(&body.agent_key).map_err(|error| Refusal::Invalid(format!("agent_key: {error}")))?;
        let received = received(request)?;
        if received.keyid != key.id() {
            return Err(Refusal::Signature("a pairing is signed with the key in agent_key".to_owned()).into());
        }
        verify(http, request, &received, &bytes, &key)?;
        Ok(Self { body, key, address: address.map(|address| address.to_string()).unwrap_or_default() })
    }
}

/// Gives who sends this, and the body that they signed. Whoever names no key of ours has no byte of their body read.
async fn authenticate(request: &Request, body: &mut RequestBody) -> Result<(Caller, Vec<u8>)> {
    let http = http(request)?;
    let received = received(request)?;
    let cached = http.keys.get(received.keyid, http.core.clock.steady());
    let is_cached = cached.is_some();
    let (server_id, key) = match cached {
        Some(known) => known,
        None => look_up(http, received.keyid).await?,
    };
    let bytes = read_body(body).await?;
    verify(http, request, &received, &bytes, &key)?;
    // Never prolonged: a key that was replaced is found out, however often it calls.
    if !is_cached {
        http.keys.put(received.keyid, server_id, key, http.core.clock.steady());
    }
    let address = address::of(request, &http.core.config.trusted_proxies).map(|address: IpAddr| address.to_string());
    Ok((Caller { server_id, address: address.unwrap_or_default() }, bytes))
}

async fn look_up(http: &Http, key_id: KeyId) -> Result<(ServerId, PublicKey)> {
    let mut tx = http.core.store.read().await?;
    match servers::by_key_id(&mut tx, key_id).await? {
        Some(agent) => Ok((agent.id, PublicKey::parse(&agent.agent_key).map_err(Error::internal)?)),
        None if servers::was_removed(&mut tx, key_id).await? => Err(Refusal::Removed.into()),
        None => Err(Refusal::UnknownKey.into()),
    }
}

fn received(request: &Request) -> Result<Received> {
    let input = only_header(request, "Signature-Input")?;
    let signature = only_header(request, "Signature")?;
    Ok(Received::parse(input, signature).map_err(|error| Refusal::Signature(error.to_string()))?)
}

fn verify(http: &Http, request: &Request, received: &Received, body: &[u8], key: &PublicKey) -> Result<()> {
    let digest = only_header(request, "Content-Digest")?;
    let authority = http.core.config.public_url.authority.as_str();
    let uri = request.original_uri();
    let target = Target { method: request.method().as_str(), authority, path: uri.path(), query: uri.query() };
    let now = http.core.clock.now();
    received.verify(target, Content { digest, body }, key, now / 1000).map_err(|error| {
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

async fn read_body(body: &mut RequestBody) -> Result<Vec<u8>> {
    match body.take() {
        Ok(body) => read_limited(body).await,
        Err(_) => Ok(Vec::new()),
    }
}

/// Reads a body and holds it against its limits: the one home of validation.
fn parse<T: DeserializeOwned + Validate>(request: &Request, bytes: &[u8]) -> Result<T> {
    let body: T = serde_json::from_slice(bytes)
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
