//! Reads request bodies within limits of size and time.

use std::time::Duration;

use osm_protocol::messages::limits;
use poem::{Body, error::ReadBodyError};
use tokio::time::timeout;

use crate::error::{Refusal, Result};

/// How long a body may take to arrive.
const WITHIN: Duration = Duration::from_secs(15);

pub async fn read_limited(body: Body) -> Result<Vec<u8>> {
    match timeout(WITHIN, body.into_bytes_limit(limits::BODY)).await {
        Ok(Ok(bytes)) => Ok(bytes.into()),
        Ok(Err(ReadBodyError::PayloadTooLarge)) => Err(Refusal::TooLarge(limits::BODY).into()),
        Ok(Err(_)) => Err(Refusal::Malformed("the body broke off".to_owned()).into()),
        Err(_) => Err(Refusal::TooSlow.into()),
    }
}
