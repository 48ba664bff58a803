//! `POST /telegram/webhook`: checks the secret, stores the parsed update, answers. Nothing is done here, and nothing is said
//! inside the answer: whether that arrives, nobody would know.

use std::sync::Arc;

use poem::{Endpoint, EndpointExt, FromRequest, Request, RequestBody, handler, http::StatusCode, post, web::Data};
use subtle::ConstantTimeEq;

use crate::{
    error::{Error, Refusal, Result},
    http::{Http, Taken},
    telegram::receive::{Receiver, update},
};

pub const PATH: &str = "/telegram/webhook";
const SECRET_HEADER: &str = "X-Telegram-Bot-Api-Secret-Token";

pub fn endpoint(http: &Arc<Http>, receiver: &Arc<Receiver>) -> impl Endpoint + use<> {
    post(webhook).data(http.clone()).data(receiver.clone())
}

/// The body of an update, of whoever knows the secret.
struct FromTelegram(Taken);

impl<'a> FromRequest<'a> for FromTelegram {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let lost = || Error::internal("no shared state");
        let http = request.data::<Arc<Http>>().ok_or_else(lost)?;
        let receiver = request.data::<Arc<Receiver>>().ok_or_else(lost)?;
        let secret = request.headers().get(SECRET_HEADER).map(poem::http::HeaderValue::as_bytes).unwrap_or_default();
        if !bool::from(secret.ct_eq(http.core.keys.webhook_secret.expose().as_bytes())) {
            http.stranger(request)?;
            return Err(Error::from(Refusal::Forbidden).into());
        }
        if receiver.bot.username().is_empty() {
            // Not set up yet: Telegram sends it again.
            return Err(Error::from(Refusal::Busy { retry_after_s: 1 }).into());
        }
        Ok(Self(http.known_body(request, body).await?))
    }
}

#[handler]
async fn webhook(FromTelegram(taken): FromTelegram, Data(receiver): Data<&Arc<Receiver>>) -> Result<StatusCode> {
    let incoming = update::read(&taken.bytes);
    if incoming.id.is_none() {
        return Err(Refusal::Malformed("not an update of the Bot API".to_owned()).into());
    }
    receiver.take(incoming).await?;
    Ok(StatusCode::OK)
}
