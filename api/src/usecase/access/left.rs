//! The owner is told of what is left of people who are no longer admitted.

use crate::{
    domain::notice::{Notice, Urgency},
    query::access::{self, Left},
    store::{self, meta, pairings, people},
    usecase::{pair::token, work::Work},
};

/// Tells the owner of servers that are left of people who may no longer use the bot, and gives them.
pub async fn tell_owner(work: &mut Work<'_>) -> store::Result<Vec<Left>> {
    let left = access::left_behind(&mut work.tx, &work.core.config.allowed_users).await?;
    if left.is_empty() {
        return Ok(left);
    }
    if let Some(owner) = people::owner(&mut work.tx).await? {
        work.send(owner.private_chat(), &Notice::LeftBehind, Urgency::Warning).await?;
    } else {
        tracing::warn!("servers are left of people who are no longer admitted: `osm-api servers list` shows them");
    }
    Ok(left)
}

/// Takes note of a changed `OSM_ALLOWED_USERS` at the start: tokens of people who are no longer admitted die, and the owner is
/// told of what is left of them.
pub async fn look_at_configuration(work: &mut Work<'_>) -> store::Result<()> {
    let allowed = &work.core.config.allowed_users;
    let is = allowed.canonical();
    let was = meta::get(&mut work.tx, meta::ALLOWED_USERS).await?;
    if was.as_deref() == Some(is.as_str()) {
        return Ok(());
    }
    meta::set(&mut work.tx, meta::ALLOWED_USERS, &is).await?;
    if was.is_none() {
        return Ok(());
    }
    for user_id in pairings::with_open_tokens(&mut work.tx, work.now).await? {
        if !access::admission(&mut work.tx, allowed, user_id).await?.is_admitted() {
            pairings::end_of(&mut work.tx, user_id, work.now).await?;
        }
    }
    token::close_messages(work).await?;
    tell_owner(work).await.map(drop)
}
