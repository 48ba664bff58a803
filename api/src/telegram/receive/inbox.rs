//! Applies what people asked for: of each chat its oldest open update, one after the other.

use std::time::Duration;

use tokio::time::timeout;

use crate::{
    domain::{access::Standing, intent::Request},
    telegram::send::bot::Bot,
    usecase::{Core, access::role, update},
};

/// How long to wait for a wake before looking anyway.
const SWEEP: Duration = Duration::from_secs(1);
/// How long Telegram may take to say whether somebody is an administrator: well below the claim on an update.
const LOOK_UP: Duration = Duration::from_secs(5);

/// Ends when the backend stops, with what is under way applied.
pub async fn run(core: &Core, bot: &Bot) {
    while !core.store.hub.is_stopping() {
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
    let standing = match &claimed.request {
        Some(request) if role::depends_on_group_role(core, request).await? => standing(bot, request).await,
        _ => Standing::Member,
    };
    update::apply(core, &claimed, standing).await?;
    Ok(true)
}

/// Asks Telegram. Not knowing means not allowing.
async fn standing(bot: &Bot, request: &Request) -> Standing {
    match timeout(LOOK_UP, bot.is_admin(request.chat.id, request.actor.id)).await {
        Ok(Ok(true)) => Standing::Administrator,
        Ok(Ok(false)) => Standing::Member,
        unknown => {
            tracing::warn!(?unknown, "the role in a group could not be looked up");
            Standing::Member
        }
    }
}
