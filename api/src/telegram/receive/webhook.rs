//! `POST /telegram/webhook`: checks the secret, stores the parsed update, answers. Nothing is done here, and nothing is said
//! inside the answer: whether that arrives, nobody would know.

use std::sync::Arc;

use crate::{
    error::{Refusal, Result},
    http::body::read_limited,
    telegram::receive::{Receiver, update},
};
use poem::{Body, Endpoint, EndpointExt, Request, handler, http::StatusCode, post, web::Data};
use subtle::ConstantTimeEq;

pub const PATH: &str = "/telegram/webhook";
const SECRET_HEADER: &str = "X-Telegram-Bot-Api-Secret-Token";

pub fn endpoint(receiver: &Arc<Receiver>) -> impl Endpoint + use<> {
    post(webhook).data(receiver.clone())
}

#[handler]
async fn webhook(request: &Request, body: Body, Data(receiver): Data<&Arc<Receiver>>) -> Result<StatusCode> {
    let secret = request.headers().get(SECRET_HEADER).map(poem::http::HeaderValue::as_bytes).unwrap_or_default();
    if !bool::from(secret.ct_eq(receiver.core.keys.webhook_secret.expose().as_bytes())) {
        return Err(Refusal::Forbidden.into());
    }
    if receiver.bot.username().is_empty() {
        // Not set up yet: Telegram sends it again.
        return Err(Refusal::Busy { retry_after_s: 1 }.into());
    }
    let bytes = read_limited(body).await?;
    let incoming = update::read(&bytes);
    if incoming.id.is_none() {
        return Err(Refusal::Malformed("not an update of the Bot API".to_owned()).into());
    }
    receiver.take(incoming).await?;
    Ok(StatusCode::OK)
}
