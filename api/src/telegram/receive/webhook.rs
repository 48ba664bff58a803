//! `POST /telegram/webhook`: checks the secret, stores the parsed update, answers. Nothing is done here, and nothing is said
//! inside the answer: whether that arrives, nobody would know.

use std::sync::Arc;

use poem::{Endpoint, EndpointExt, FromRequest, Request, RequestBody, handler, http::StatusCode, post, web::Data};
use subtle::ConstantTimeEq;
use teloxide::types::Update;

use crate::{
    domain::ids::UpdateId,
    error::{Error, Refusal, Result},
    http::{Http, Taken},
    telegram::{
        receive::update::{self, Parsed},
        send::bot::Bot,
    },
    usecase::{self, Core},
};

pub const PATH: &str = "/telegram/webhook";
const SECRET_HEADER: &str = "X-Telegram-Bot-Api-Secret-Token";

pub fn endpoint(http: &Arc<Http>, bot: &Arc<Bot>) -> impl Endpoint + use<> {
    post(webhook).data(http.clone()).data(bot.clone())
}

/// The body of an update, of whoever knows the secret.
struct FromTelegram(Taken);

impl<'a> FromRequest<'a> for FromTelegram {
    async fn from_request(request: &'a Request, body: &mut RequestBody) -> poem::Result<Self> {
        let lost = || Error::internal("no shared state");
        let http = request.data::<Arc<Http>>().ok_or_else(lost)?;
        let bot = request.data::<Arc<Bot>>().ok_or_else(lost)?;
        let secret = request.headers().get(SECRET_HEADER).map(poem::http::HeaderValue::as_bytes).unwrap_or_default();
        if !bool::from(secret.ct_eq(http.core.keys.webhook_secret.expose().as_bytes())) {
            http.stranger(request)?;
            return Err(Error::from(Refusal::Forbidden).into());
        }
        if bot.username().is_empty() {
            // Not set up yet: Telegram sends it again.
            return Err(Error::from(Refusal::Busy { retry_after_s: 1 }).into());
        }
        Ok(Self(http.known_body(request, body).await?))
    }
}

#[handler]
async fn webhook(
    FromTelegram(taken): FromTelegram,
    Data(http): Data<&Arc<Http>>,
    Data(bot): Data<&Arc<Bot>>,
) -> std::result::Result<StatusCode, Error> {
    let update =
        update::read(&taken.bytes).map_err(|error| Refusal::Malformed(format!("not an update of the Bot API: {error}")))?;
    if let Some(update) = update {
        store_update(&http.core, bot, &update).await?;
    } else {
        tracing::debug!("an update of a kind that was not asked for was dropped");
    }
    Ok(StatusCode::OK)
}

/// Stores what an update asks for; what asks for nothing is acknowledged and dropped.
pub async fn store_update(core: &Core, bot: &Bot, update: &Update) -> Result<()> {
    match update::parse(update, bot.username()) {
        Parsed::Request(request) => usecase::update::receive(core, UpdateId(update.id.0.into()), &request).await,
        Parsed::Ignored(kind) => {
            tracing::debug!(kind, "an update without a request was dropped");
            Ok(())
        }
    }
}
