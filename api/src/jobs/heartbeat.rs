//! Who watches the watcher: while all is well, a call to `OSM_HEARTBEAT_URL` every minute. A service there (healthchecks.io,
//! Uptime Kuma, a cron job) raises the alarm when the calls stop. Nothing is sent but the call itself.

use std::time::Duration;

use crate::{
    domain::{MINUTE, Millis},
    store::{self, outbox},
    usecase::Core,
};

const EVERY: Duration = Duration::from_mins(1);
const TIMEOUT: Duration = Duration::from_secs(10);
/// What waits for longer means that nobody hears of anything.
const STUCK: Millis = 10 * MINUTE;

/// Returns at once where no address is set.
pub async fn run(core: &Core) {
    let Some(url) = &core.config.heartbeat_url else { return };
    // Its address may hold a secret: it is told to nobody else, neither by following nor as a referrer.
    let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).referer(false);
    let client = match client.build() {
        Ok(client) => client,
        Err(error) => return tracing::error!(%error, "heartbeat"),
    };
    let pace = core.clock.pace();
    while !core.store.hub.is_stopping() {
        match is_well(core).await {
            Ok(true) => match client.get(url.expose()).send().await.and_then(reqwest::Response::error_for_status) {
                Ok(answer) if answer.status().is_success() => {}
                Ok(answer) => tracing::warn!(status = %answer.status(), "the heartbeat was not taken, and is not sent elsewhere"),
                Err(error) => tracing::warn!(error = %error.without_url(), "the heartbeat was not taken"),
            },
            Ok(false) => tracing::warn!("no heartbeat: messages have waited for ten minutes"),
            Err(error) => tracing::error!(%error, "no heartbeat"),
        }
        tokio::select! {
            () = pace.sleep(EVERY) => {}
            () = core.store.hub.stopped() => {}
        }
    }
}

/// Tells whether the database answers and messages go out.
async fn is_well(core: &Core) -> store::Result<bool> {
    let mut tx = core.store.read().await?;
    let (_, oldest) = outbox::backlog(&mut tx).await?;
    Ok(oldest.is_none_or(|oldest| core.clock.now() - oldest < STUCK))
}
