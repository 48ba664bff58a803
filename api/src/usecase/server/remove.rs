//! A server goes, with all that hangs on it.

use crate::{
    domain::{
        event::{By, Event, Happened},
        ids::{ChatId, ServerId},
        notice::{Notice, Urgency},
    },
    error::{Refusal, Result},
    store::{self, incidents, outbox::Shown, servers},
    usecase::{Core, work::Work},
};

/// Removes a server whose agent was unpaired on its host, and tells the chat.
pub async fn unpair(core: &Core, server_id: ServerId) -> Result<()> {
    let mut work = Work::begin(core, By::Agent {}).await?;
    let server = servers::paired(&mut work.tx, server_id).await?.ok_or(Refusal::Removed(None))?;
    let topic = servers::topic(&mut work.tx, server_id).await?;
    if let Some(name) = remove(&mut work, server.chat_id, server_id).await? {
        work.record(Happened::to_server(server.chat_id, server_id, &name, Event::Unpaired {}));
        let (message_id, notice) = (work.id(), Notice::Unpaired { name });
        let shown = Shown { chat_id: server.chat_id, message_id, notice: &notice, urgency: Urgency::Background };
        work.send_in(topic, &shown).await?;
    }
    work.commit("unpair").await?;
    Ok(())
}

/// Deletes a server with all that hangs on it, and gives its name. Messages that showed its alerts do so no more; what they
/// told of other servers ends without it.
pub async fn remove(work: &mut Work<'_>, chat_id: ChatId, server_id: ServerId) -> store::Result<Option<String>> {
    let messages = incidents::live_messages(&mut work.tx, server_id).await?;
    let Some(name) = servers::remove(&mut work.tx, chat_id, server_id, work.now).await? else { return Ok(None) };
    for message_id in messages {
        work.ends_of(chat_id, message_id);
    }
    Ok(Some(name))
}
