//! `POST /telegram/webhook`: checks the secret, stores the parsed update, answers. Nothing is done here, and nothing is said
//! inside the answer: whether that arrives, nobody would know.

use std::sync::Arc;

use poem::{Body, Endpoint, EndpointExt, Request, handler, http::StatusCode, post, web::Data};
use subtle::ConstantTimeEq;
use teloxide::types::Update;

use crate::{
    domain::ids::UpdateId,
    error::{Error, Refusal, Result},
    http::body::read_limited,
    telegram::{
        receive::update::{self, Parsed},
        send::bot::Bot,
    },
    usecase::{self, Core},
};

pub const PATH: &str = "/telegram/webhook";
const SECRET_HEADER: &str = "X-Telegram-Bot-Api-Secret-Token";

pub fn endpoint(core: &Arc<Core>, bot: &Arc<Bot>) -> impl Endpoint + use<> {
    post(webhook).data(core.clone()).data(bot.clone())
}

#[handler]
async fn webhook(
    request: &Request,
    body: Body,
    Data(core): Data<&Arc<Core>>,
    Data(bot): Data<&Arc<Bot>>,
) -> std::result::Result<StatusCode, Error> {
    let secret = request.headers().get(SECRET_HEADER).map(poem::http::HeaderValue::as_bytes).unwrap_or_default();
    if !bool::from(secret.ct_eq(core.keys.webhook_secret.expose().as_bytes())) {
        return Err(Refusal::Forbidden.into());
    }
    if bot.username().is_empty() {
        // Not set up yet: Telegram sends it again.
        return Err(Refusal::Busy { retry_after_s: 1 }.into());
    }
    let bytes = read_limited(body).await?;
    let update = update::read(&bytes).map_err(|error| Refusal::Malformed(format!("not an update of the Bot API: {error}")))?;
    if let Some(update) = update {
        store_update(core, bot, &update).await?;
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
