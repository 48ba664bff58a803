//! Answers to taps on buttons.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::{ApiError, Outcome, Params};
use crate::{Toast, state::State};

const MAX_TEXT: usize = 200;

pub(super) fn answer(state: &mut State, params: &Params, lifetime: Duration) -> Outcome {
    let too_old = || ApiError::bad("query is too old and response timeout expired or query ID is invalid");
    let id = params.text("callback_query_id").unwrap_or_default();
    let text = params.text("text").filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.chars().count() > MAX_TEXT) {
        return Err(ApiError::bad("MESSAGE_TOO_LONG"));
    }
    let query = state.queries.get_mut(&id).ok_or_else(too_old)?;
    if query.answered || query.at.elapsed() > lifetime {
        return Err(too_old());
    }
    query.answered = true;
    state.toasts.push(Toast {
        query_id: id,
        chat_id: query.chat_id,
        user_id: query.user_id,
        message_id: query.message_id,
        text,
        show_alert: params.flag("show_alert"),
        url: params.text("url").filter(|url| !url.is_empty()),
        at: Instant::now(),
    });
    Ok(json!(true).into())
}
