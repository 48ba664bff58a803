//! How updates reach the bot: the webhook's settings, and polling.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{ApiError, Outcome, Params, Success};
use crate::{
    sim::Inner,
    state::{State, Webhook},
};

pub(super) fn set_webhook(state: &mut State, params: &Params) -> Outcome {
    let address = params.text("url").unwrap_or_default();
    if address.is_empty() {
        return Ok(delete_webhook(state, params));
    }
    let secret = params.text("secret_token").filter(|secret| !secret.is_empty());
    if let Some(secret) = &secret {
        if secret.len() > 256 {
            return Err(ApiError::bad("secret token is too long"));
        }
        if !secret.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
            return Err(ApiError::bad("secret token contains unallowed characters"));
        }
    }
    let url = webhook_url(&address)?;
    let max_connections = match params.int("max_connections") {
        None => 40,
        Some(n) => usize::try_from(n.clamp(1, 100)).unwrap_or(40),
    };
    let allowed = allowed_updates(params)?;
    if params.flag("drop_pending_updates") {
        state.queue.clear();
    }
    let same = state.webhook.as_ref().is_some_and(|w| w.url == url && w.secret == secret);
    state.webhook = Some(Webhook { url, secret, max_connections });
    state.webhook_error = None;
    // A getUpdates that waits is ended with 409.
    state.poll += 1;
    remember_allowed(state, allowed);
    Ok(Success { result: true.into(), description: Some(if same { "Webhook is already set" } else { "Webhook was set" }) })
}

pub(super) fn delete_webhook(state: &mut State, params: &Params) -> Success {
    if params.flag("drop_pending_updates") {
        state.queue.clear();
    }
    let was_set = state.webhook.take().is_some();
    state.webhook_error = None;
    Success { result: true.into(), description: Some(if was_set { "Webhook was deleted" } else { "Webhook is already deleted" }) }
}

pub(super) fn webhook_info(state: &State) -> Value {
    let mut info = json!({
        "url": state.webhook.as_ref().map_or("", |webhook| webhook.url.as_str()),
        "has_custom_certificate": false,
        "pending_update_count": state.queue.len(),
    });
    if let Some(webhook) = &state.webhook {
        info["max_connections"] = webhook.max_connections.into();
    }
    if let Some((date, message)) = &state.webhook_error {
        info["last_error_date"] = (*date).into();
        info["last_error_message"] = message.as_str().into();
    }
    if let Some(allowed) = &state.allowed {
        info["allowed_updates"] = allowed.iter().cloned().collect();
    }
    info
}

/// Waits up to `timeout` seconds for updates. The newest caller wins; an older one gets 409, as with Telegram.
pub(super) async fn get_updates(sim: &Inner, params: &Params) -> Outcome {
    let limit = usize::try_from(params.int("limit").unwrap_or(100).clamp(1, 100)).unwrap_or(100);
    let wait = u64::try_from(params.int("timeout").unwrap_or(0).clamp(0, 50)).unwrap_or(0);
    let offset = params.int("offset").unwrap_or(0);
    let allowed = allowed_updates(params)?;
    let ticket = sim.with(|state| {
        state.poll += 1;
        remember_allowed(state, allowed);
        state.poll
    });
    let deadline = Instant::now() + Duration::from_secs(wait);
    let mut changed = sim.changed.subscribe();
    loop {
        let (updates, confirmed) = sim.quiet(|state| {
            if state.webhook.is_some() {
                return Err(ApiError::new(
                    409,
                    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the \
                     webhook first",
                ));
            }
            if state.poll != ticket {
                return Err(ApiError::new(
                    409,
                    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                ));
            }
            let before = state.queue.len();
            let updates = state.queue.poll(offset, limit);
            Ok((updates, state.queue.len() != before))
        })?;
        if confirmed {
            sim.touch();
        }
        if !updates.is_empty() || timeout_at(deadline, changed.changed()).await.is_err() {
            return Ok(Value::Array(updates).into());
        }
    }
}

/// As a Bot API server of one's own does in local mode, plain http is taken too: the product under test has no
/// certificate. Telegram itself wants https; its ports are checked where https is given.
fn webhook_url(address: &str) -> Result<reqwest::Url, ApiError> {
    let url = reqwest::Url::parse(address).map_err(|_| ApiError::bad("bad webhook: invalid webhook URL specified"))?;
    let private_host = |host: &str| host == "localhost" || host.parse::<std::net::IpAddr>().is_ok() || !host.contains('.');
    match url.scheme() {
        "https" if matches!(url.port_or_known_default(), Some(80 | 88 | 443 | 8443)) => Ok(url),
        "https" => Err(ApiError::bad("bad webhook: Webhook can be set up only on ports 80, 88, 443 or 8443")),
        "http" if url.host_str().is_some_and(private_host) => Ok(url),
        _ => Err(ApiError::bad("bad webhook: An HTTPS URL must be provided for webhook")),
    }
}

/// `None`: not given, so the former choice stays. An empty list goes back to the default.
fn allowed_updates(params: &Params) -> Result<Option<BTreeSet<String>>, ApiError> {
    match params.json("allowed_updates")? {
        None => Ok(None),
        Some(Value::Array(kinds)) => Ok(Some(kinds.iter().filter_map(Value::as_str).map(str::to_owned).collect())),
        Some(_) => Err(ApiError::bad("can't parse allowed updates: Expected an Array")),
    }
}

fn remember_allowed(state: &mut State, allowed: Option<BTreeSet<String>>) {
    if let Some(kinds) = allowed {
        state.allowed = (!kinds.is_empty()).then_some(kinds);
    }
}
