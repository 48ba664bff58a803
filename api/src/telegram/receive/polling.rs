//! Updates by getUpdates, for backends that Telegram cannot reach. Only one poller at a time: Telegram refuses a second.

use std::time::Duration;

use crate::{
    domain::SECOND,
    error::Result,
    store::leases,
    telegram::{
        receive::{Receiver, update},
        send::answer::Fault,
    },
    usecase::Core,
};

const ROLE: &str = "poller";
/// Longer than a poll takes at most.
const LEASE: i64 = 30 * SECOND;

pub async fn run(receiver: &Receiver) {
    let mut failures = 0;
    // Confirmed to Telegram by the next call: everything below is stored. After a start Telegram says again what was not
    // confirmed, and the inbox knows what it has.
    let mut offset = 0;
    loop {
        let wait = match poll(receiver, &mut offset).await {
            Ok(true) => {
                failures = 0;
                continue;
            }
            Ok(false) => Duration::from_secs(5),
            Err(problem) => {
                failures += 1;
                let wait = Duration::from_secs(1 << failures.min(6));
                tracing::warn!(problem, ?wait, "polling");
                wait
            }
        };
        tokio::time::sleep(wait).await;
    }
}

/// Polls once; false when another instance is the poller.
async fn poll(receiver: &Receiver, offset: &mut i64) -> std::result::Result<bool, String> {
    if !is_poller(&receiver.core).await.map_err(|error| error.to_string())? {
        return Ok(false);
    }
    let received = receiver.bot.updates(*offset).await.map_err(|fault| match fault {
        Fault::Conflict => "another program polls with this bot's token, or a webhook is set".to_owned(),
        other => other.to_string(),
    })?;
    for update in received {
        let incoming = update::read(update.get().as_bytes());
        let Some(id) = incoming.id else { continue };
        // Stored before it is confirmed: a crash in between brings it again, and the inbox knows its id.
        receiver.take(incoming).await.map_err(|error| error.to_string())?;
        crate::crash::point("polling.stored");
        *offset = id.0 + 1;
    }
    Ok(true)
}

async fn is_poller(core: &Core) -> Result<bool> {
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    let held = leases::hold(&mut tx, ROLE, core.instance, now, now + LEASE).await?;
    tx.commit("poller-lease").await?;
    Ok(held)
}
