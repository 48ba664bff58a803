//! The webhook's side of Telegram: posts waiting updates, and tries again until the bot answers 2xx.

use std::sync::Arc;

use tokio::time::{Instant, sleep_until};

use crate::{Delivery, model::unix_now, queue::Queued, sim::Inner, state::Webhook};

/// Runs until the stand-in stops.
pub(crate) async fn run(sim: Arc<Inner>) {
    let mut changed = sim.changed.subscribe();
    let mut stop = sim.stop.subscribe();
    loop {
        changed.mark_unchanged();
        let (webhook, batch, wake) = sim.quiet(|state| match state.webhook.clone() {
            None => (None, vec![], None),
            Some(webhook) => {
                let (batch, wake) = state.queue.deliverable(webhook.max_connections, Instant::now());
                (Some(webhook), batch, wake)
            }
        });
        if let Some(webhook) = webhook {
            for queued in batch {
                tokio::spawn(deliver(sim.clone(), webhook.clone(), queued));
            }
        }
        tokio::select! {
            _ = changed.changed() => {}
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn deliver(sim: Arc<Inner>, webhook: Webhook, queued: Queued) {
    let mut request = sim.http.post(webhook.url).json(&queued.body);
    if let Some(secret) = &webhook.secret {
        request = request.header("X-Telegram-Bot-Api-Secret-Token", secret);
    }
    let mut stop = sim.stop.subscribe();
    let answer = tokio::select! {
        answer = request.send() => answer,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    let (status, error) = match answer {
        Ok(response) if response.status().is_success() => (Some(response.status().as_u16()), None),
        Ok(response) => {
            let status = response.status();
            (Some(status.as_u16()), Some(format!("Wrong response from the webhook: {status}")))
        }
        Err(error) if error.is_timeout() => (None, Some("Read timeout expired".to_owned())),
        Err(error) if error.is_connect() => (None, Some("Connection failed".to_owned())),
        Err(error) => (None, Some(format!("Connection broken: {error}"))),
    };
    let (shortest, longest) = sim.options.webhook_backoff;
    let pause = shortest.saturating_mul(1 << queued.attempts.saturating_sub(1).min(16)).min(longest);
    sim.with(|state| {
        state.deliveries.push(Delivery { update_id: queued.update_id, status, at: Instant::now() });
        match error {
            None => state.queue.delivered(queued.seq),
            Some(message) => {
                state.webhook_error = Some((unix_now(), message));
                state.queue.failed(queued.seq, Instant::now() + pause);
            }
        }
    });
}
