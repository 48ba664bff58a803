//! Is the process up; can it do its work.

use std::sync::Arc;

use poem::{Response, handler, http::StatusCode, web::Data};
use serde_json::json;

use crate::{
    error::Result,
    http::state::Http,
    store::{chats, outbox},
};

#[handler]
pub fn live() -> &'static str {
    "ok\n"
}

/// Ready when the database answers and the bot is set up, or else what is missing; with the figures that tell whether
/// messages get through.
#[handler]
pub async fn ready(Data(http): Data<&Arc<Http>>) -> Result<Response> {
    let mut tx = http.core.store.read().await?;
    let (waiting, oldest) = outbox::backlog(&mut tx).await?;
    let unreachable = chats::count_unreachable(&mut tx).await?;
    let oldest_s = oldest.map_or(0, |oldest| (http.core.clock.now() - oldest).max(0) / 1000);
    let mut body = json!({ "outbox_waiting": waiting, "outbox_oldest_s": oldest_s, "chats_unreachable": unreachable });
    let lack = http.core.readiness.lack();
    if let Some(lack) = lack {
        body["lacks"] = lack.into();
    }
    let status = if lack.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(Response::builder().status(status).content_type("application/json").body(body.to_string()))
}
