//! Applies what people asked for: of each chat its oldest open update, one after the other.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    telegram::bot::Bot,
    usecase::{Core, access, update},
};

/// How long to wait for a wake before looking anyway.
const SWEEP: Duration = Duration::from_secs(1);

pub async fn run(core: &Core, bot: &Bot) {
    loop {
        let worked = match work(core, bot).await {
            Ok(worked) => worked,
            Err(error) => {
                tracing::error!(%error, "inbox");
                false
            }
        };
        if !worked {
            let _ = timeout(SWEEP, core.store.hub.inbox.notified()).await;
        }
    }
}

/// Applies one update; whether there was one.
async fn work(core: &Core, bot: &Bot) -> crate::error::Result<bool> {
    let Some(claimed) = update::claim(core).await? else { return Ok(false) };
    let request = &claimed.request;
    let is_admin = access::depends_on_group_role(request)
        && match bot.is_admin(request.chat.id, request.actor.id).await {
            Ok(is_admin) => is_admin,
            Err(fault) => {
                // Not knowing means not allowing.
                tracing::warn!(?fault, "the role in a group could not be looked up");
                false
            }
        };
    update::apply(core, &claimed, is_admin).await?;
    Ok(true)
}
