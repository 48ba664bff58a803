//! Updates by getUpdates, for backends that Telegram cannot reach. Only one poller at a time: Telegram refuses a second.

use std::time::Duration;

use crate::{
    domain::SECOND,
    error::Result,
    store::leases,
    telegram::{
        receive::webhook::store_update,
        send::bot::{Bot, Fault},
    },
    usecase::Core,
};

const ROLE: &str = "poller";
/// Longer than a poll takes at most.
const LEASE: i64 = 30 * SECOND;

pub async fn run(core: &Core, bot: &Bot) {
    let mut failures = 0;
    // Confirmed to Telegram by the next call: everything below is stored. After a start Telegram says again what was not confirmed, and
    // the inbox knows what it has.
    let mut offset = 0;
    loop {
        let wait = match poll(core, bot, &mut offset).await {
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

/// One poll; false when another instance is the poller.
async fn poll(core: &Core, bot: &Bot, offset: &mut i32) -> std::result::Result<bool, String> {
    if !is_poller(core).await.map_err(|error| error.to_string())? {
        return Ok(false);
    }
    let received = bot.updates(*offset).await.map_err(|fault| match fault {
        Fault::Conflict => "another program polls with this bot's token, or a webhook is set".to_owned(),
        other => format!("{other:?}"),
    })?;
    for update in received {
        let next = i32::try_from(update.id.0).unwrap_or(i32::MAX - 1) + 1;
        // Stored before it is confirmed: a crash in between brings it again, and the inbox knows its id.
        store_update(core, bot, &update).await.map_err(|error| error.to_string())?;
        crate::crash::point("polling.stored");
        *offset = next;
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
