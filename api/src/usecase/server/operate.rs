//! The operator removes a server, or gives it to another chat.

use crate::{
    domain::{
        event::{By, Event, Happened},
        ids::{ChatId, ServerId},
        notice::{Notice, Urgency},
    },
    query::access,
    store::{self, Wake, chats, incidents, mutes, servers, thresholds},
    usecase::{
        Core,
        command::finish,
        server::{place, remove},
        work::Work,
    },
};

/// A server that was removed.
#[derive(Debug, PartialEq, Eq)]
pub struct Removed {
    pub name: String,
    pub chat_id: ChatId,
}

/// Removes a server, whichever chat has it, and tells that chat; `None`: there is no such server.
pub async fn remove(core: &Core, server_id: ServerId) -> store::Result<Option<Removed>> {
    let mut work = Work::begin(core, By::Operator {}).await?;
    let Some(server) = servers::by_id(&mut work.tx, server_id).await? else { return Ok(None) };
    let chat_id = server.chat_id;
    let Some(name) = remove::remove(&mut work, chat_id, server_id).await? else { return Ok(None) };
    work.record(Happened::to_server(chat_id, server_id, &name, Event::Removed {}));
    work.send(chat_id, &Notice::RemovedByOperator { name: name.clone() }, Urgency::Answer).await?;
    // Its long poll learns at once that it was removed.
    work.tx.wake(Wake::Commands(server_id));
    work.commit("operate").await?;
    Ok(Some(Removed { name, chat_id }))
}

/// What became of a move.
#[derive(Debug, PartialEq, Eq)]
pub enum Moved {
    Done {
        /// As it is called there.
        name: String,
        from: ChatId,
    },
    /// It is there already.
    Already,
    NoSuchServer,
    /// Nobody who may use the bot has written there.
    NoSuchChat,
    /// The person of that private chat may not use the bot.
    NotAdmitted,
    /// That chat has as many servers as it may have.
    Full,
}

/// Gives a server to another chat, with its history and its limits. What is asked of it ends; what is wrong with it is told there
/// anew. Both chats are told.
pub async fn relocate(core: &Core, server_id: ServerId, to: ChatId) -> store::Result<Moved> {
    let mut work = Work::begin(core, By::Operator {}).await?;
    servers::hold(&mut work.tx, &[server_id]).await?;
    let Some(server) = servers::by_id(&mut work.tx, server_id).await? else { return Ok(Moved::NoSuchServer) };
    let from = server.chat_id;
    if let Some(refused) = refused(&mut work, from, to).await? {
        return Ok(refused);
    }
    finish::end_all(&mut work, server_id).await?;
    for message_id in incidents::live_messages(&mut work.tx, server_id).await? {
        work.ends_of(from, message_id);
    }
    let name = place::free_name(&mut work.tx, to, &server.name, server_id).await?;
    servers::relocate(&mut work.tx, server_id, to, &name).await?;
    incidents::relocate(&mut work.tx, server_id, to).await?;
    thresholds::relocate(&mut work.tx, server_id, to).await?;
    mutes::forget_server(&mut work.tx, server_id).await?;
    work.record(Happened::to_server(from, server_id, &server.name, Event::MovedAway {}));
    work.record(Happened::to_server(to, server_id, &name, Event::MovedHere {}));
    work.send(from, &Notice::MovedAway { name: server.name }, Urgency::Answer).await?;
    work.send(to, &Notice::MovedHere { server_id }, Urgency::Answer).await?;
    work.commit("operate").await?;
    Ok(Moved::Done { name, from })
}

async fn refused(work: &mut Work<'_>, from: ChatId, to: ChatId) -> store::Result<Option<Moved>> {
    let tx = &mut work.tx;
    if from == to {
        return Ok(Some(Moved::Already));
    }
    if chats::get(tx, to).await?.is_none() {
        return Ok(Some(Moved::NoSuchChat));
    }
    if let Some(person) = to.person()
        && !access::admission(tx, &work.core.config.allowed_users, person).await?.is_admitted()
    {
        return Ok(Some(Moved::NotAdmitted));
    }
    Ok((!place::has_room(tx, to).await?).then_some(Moved::Full))
}
