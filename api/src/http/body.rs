//! Reads request bodies within limits of size, time and room.

use std::time::Duration;

use futures_util::StreamExt;
use osm_protocol::{messages::limits, request_signature::BodyDigest};
use poem::{Body, Request, RequestBody, http::header::CONTENT_LENGTH};
use tokio::time::timeout;

use crate::{
    error::{Refusal, Result},
    http::budget::{Bearer, Budget, Room},
};

/// How long a body may take to arrive.
const WITHIN: Duration = Duration::from_secs(15);

/// What a body may be.
#[derive(Clone, Copy)]
pub struct Allowed {
    bearer: Bearer,
    limit: u32,
}

impl Allowed {
    /// Of somebody who has shown who they are.
    pub const KNOWN: Self = Self { bearer: Bearer::Known, limit: kib(limits::BODY) };
    /// Where nothing is asked for: an empty object does no harm.
    pub const NOTHING: Self = Self { bearer: Bearer::Known, limit: 1024 };
    pub const PAIRING: Self = Self { bearer: Bearer::Stranger, limit: kib(limits::PAIR_BODY) };
}

/// A body, and the room that it takes.
pub struct Taken {
    pub bytes: Vec<u8>,
    pub room: Room,
}

/// Reads a body for which there is room: one that says how long it is takes as much, another as much as is allowed.
pub async fn read(request: &Request, body: &mut RequestBody, budget: &Budget, allowed: Allowed) -> Result<Taken> {
    read_signed(request, body, budget, allowed, None).await
}

/// Reads a body as [`read`] does, and holds it against the digest that was signed.
pub async fn read_signed(
    request: &Request,
    body: &mut RequestBody,
    budget: &Budget,
    allowed: Allowed,
    mut digest: Option<BodyDigest>,
) -> Result<Taken> {
    let length = length(request)?.unwrap_or(u64::from(allowed.limit));
    let length = u32::try_from(length).ok().filter(|length| *length <= allowed.limit);
    let too_large = Refusal::TooLarge(allowed.limit as usize);
    let room = budget.body(allowed.bearer, length.ok_or_else(|| too_large.clone())?)?;
    let body = body.take().unwrap_or_default();
    let bytes = timeout(WITHIN, arrive(body, allowed.limit as usize, digest.as_mut())).await.map_err(|_| Refusal::TooSlow)??;
    if let Some(digest) = digest {
        digest.check().map_err(|error| Refusal::Signature(error.to_string()))?;
    }
    Ok(Taken { bytes, room })
}

async fn arrive(body: Body, limit: usize, mut digest: Option<&mut BodyDigest>) -> Result<Vec<u8>> {
    let stream = body.into_bytes_stream();
    tokio::pin!(stream);
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| Refusal::Malformed("the body broke off".to_owned()))?;
        if bytes.len() + chunk.len() > limit {
            return Err(Refusal::TooLarge(limit).into());
        }
        if let Some(digest) = &mut digest {
            digest.take(&chunk);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Gives how long the body is, where the request says so. (hyper refuses a length that contradicts itself.)
fn length(request: &Request) -> Result<Option<u64>> {
    let Some(value) = request.headers().get(CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    Ok(Some(length.ok_or_else(|| Refusal::Malformed("Content-Length is not a number".to_owned()))?))
}

/// A limit fits 32 bits.
#[expect(clippy::cast_possible_truncation, reason = "the limits of the protocol are below 4 GiB")]
const fn kib(limit: usize) -> u32 {
    limit as u32
}
