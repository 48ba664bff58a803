//! Servers are listed, looked up, removed.

use crate::{
    domain::{
        Millis,
        intent::{Actor, Tap},
        notice::{Notice, Purpose, Toast, Urgency},
    },
    error::{Refusal, Result},
    store::{self, Tx, incidents, servers},
    usecase::{Core, announce::Announcer, command, tell::Teller},
};

/// `/status [name]`: the card, or the way to it.
pub async fn show_status(tx: &mut Tx, teller: &Teller<'_>, name: Option<&str>) -> store::Result<()> {
    let notice = match find(tx, teller.chat_id, name, Purpose::Status).await? {
        Found::One(server_id) => Notice::Status { server_id, page: 0 },
        Found::Other(notice) => notice,
    };
    teller.send(tx, &notice, Urgency::Answer).await.map(drop)
}

/// `/remove_server [name]`: the question, or the way to it.
pub async fn ask_remove(tx: &mut Tx, teller: &Teller<'_>, actor: &Actor, name: Option<&str>) -> store::Result<()> {
    match find(tx, teller.chat_id, name, Purpose::Remove).await? {
        Found::One(server_id) => command::ask_remove(tx, teller, actor, &server_id).await.map(drop),
        Found::Other(notice) => teller.send(tx, &notice, Urgency::Answer).await.map(drop),
    }
}

pub enum Found {
    One(String),
    Other(Notice),
}

pub async fn find(tx: &mut Tx, chat_id: i64, name: Option<&str>, purpose: Purpose) -> store::Result<Found> {
    let Some(name) = name else {
        let servers = servers::list(tx, chat_id, 0, 2).await?;
        return Ok(match (servers.as_slice(), purpose) {
            ([], _) => Found::Other(Notice::Welcome { claimed: false }),
            // Removing asks which one even where there is one: nobody removes a server by a bare command.
            ([only], Purpose::Status) => Found::One(only.id.clone()),
            _ => Found::Other(Notice::Choose { purpose }),
        });
    };
    Ok(match servers::named(tx, chat_id, name).await?.as_slice() {
        [] => Found::Other(Notice::NoSuchServer { name: name.to_owned() }),
        [only] => Found::One(only.clone()),
        _ => Found::Other(Notice::Choose { purpose }),
    })
}

/// A server's button in a list: its card as a new message.
pub async fn open(tx: &mut Tx, teller: &Teller<'_>, tap: Option<&Tap>, server_id: &str) -> store::Result<()> {
    if servers::get(tx, teller.chat_id, server_id).await?.is_none() {
        return command::stale(tx, teller, tap).await;
    }
    teller.send(tx, &Notice::Status { server_id: server_id.to_owned(), page: 0 }, Urgency::Answer).await?;
    teller.toast(tx, tap, Toast::Done).await
}

/// A card's own button: shows `notice` in place; the toast says whether the server is still there.
pub async fn turn(
    tx: &mut Tx,
    teller: &Teller<'_>,
    tap: Option<&Tap>,
    server_id: &str,
    notice: Notice,
    done: Toast,
) -> store::Result<()> {
    let toast = if servers::get(tx, teller.chat_id, server_id).await?.is_some() { done } else { Toast::Stale };
    teller.show(tx, tap, &notice).await?;
    teller.toast(tx, tap, toast).await
}

/// The agent was unpaired on its host: the server goes, with all that hangs on it.
pub async fn unpair(core: &Core, server_id: &str) -> Result<()> {
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    let server = servers::by_id(&mut tx, server_id).await?.ok_or(Refusal::Removed)?;
    if let Some(name) = remove(&mut tx, core, server.chat_id, server_id, now).await? {
        let teller = Teller { clock: &core.clock, chat_id: server.chat_id, now };
        teller.send(&mut tx, &Notice::Unpaired { name }, Urgency::Background).await?;
    }
    tx.commit("unpair").await?;
    Ok(())
}

/// Deletes a server with all that hangs on it, and gives its name. Messages that showed its alerts do so no more; what they told of
/// other servers ends without it.
pub async fn remove(tx: &mut Tx, core: &Core, chat_id: i64, server_id: &str, now: Millis) -> store::Result<Option<String>> {
    let messages = incidents::live_messages(tx, server_id).await?;
    let Some(name) = servers::remove(tx, chat_id, server_id, now).await? else { return Ok(None) };
    let mut told = Announcer::new(core, now);
    for message_id in messages {
        told.ends_of(chat_id, message_id);
    }
    told.finish(tx).await?;
    Ok(Some(name))
}
