//! The operator removes all that is of a chat.

use crate::{
    domain::{
        event::{By, Event, Happened},
        ids::ChatId,
        notice::{Notice, Urgency},
    },
    store::{self, Wake, chats, mutes, pairings, servers, thresholds},
    usecase::{Core, pair::token, server::remove, work::Work},
};

/// What a chat had.
#[derive(Debug, PartialEq, Eq)]
pub struct Revoked {
    pub servers: Vec<String>,
    pub tokens: u64,
}

/// Removes the servers, open tokens, limits and mutes of a chat, and tells it; from a group the bot goes away after that. `None`:
/// there is no such chat.
pub async fn revoke(core: &Core, chat_id: ChatId) -> store::Result<Option<Revoked>> {
    let mut work = Work::begin(core, By::Operator {}).await?;
    let ids = servers::of_chat(&mut work.tx, chat_id).await?;
    if ids.is_empty() && chats::get(&mut work.tx, chat_id).await?.is_none() {
        return Ok(None);
    }
    let mut names = Vec::new();
    for server_id in ids {
        let Some(name) = remove::remove(&mut work, chat_id, server_id).await? else { continue };
        work.record(Happened::to_server(chat_id, server_id, &name, Event::Removed {}));
        work.tx.wake(Wake::Commands(server_id));
        names.push(name);
    }
    let tokens = pairings::end_in(&mut work.tx, chat_id, work.now).await?;
    token::close_messages(&mut work).await?;
    thresholds::forget_chat(&mut work.tx, chat_id).await?;
    mutes::forget_chat(&mut work.tx, chat_id).await?;
    let servers = u32::try_from(names.len()).unwrap_or(u32::MAX);
    work.record(Happened::in_chat(chat_id, Event::ChatRevoked { servers, tokens }));
    work.send(chat_id, &Notice::ChatRevoked { servers }, Urgency::Answer).await?;
    work.commit("operate").await?;
    Ok(Some(Revoked { servers: names, tokens }))
}
