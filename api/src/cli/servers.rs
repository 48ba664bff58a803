//! The servers of all chats.

use clap::Subcommand;
use serde::Serialize;

use crate::{
    cli::{
        print::{Answer, moment, shown, table},
        typed::{chat, refused},
    },
    domain::{
        ids::{ChatId, ServerId, UserId},
        server::PER_CHAT,
    },
    store::servers,
    usecase::{
        Core,
        server::operate::{self, Moved},
    },
};

#[derive(Subcommand)]
pub enum Command {
    /// List the servers of all chats.
    List,
    /// Remove a server with all that is stored of it; its chat is told.
    Remove {
        /// As `servers list` has it.
        id: ServerId,
    },
    /// Give a server to another chat, with its history; both chats are told.
    Move {
        /// As `servers list` has it.
        id: ServerId,
        /// The chat's number at Telegram; that of a group is negative.
        #[arg(value_parser = chat, allow_negative_numbers = true)]
        chat: ChatId,
    },
}

pub async fn run(core: &Core, command: &Command) -> anyhow::Result<Answer> {
    match command {
        Command::List => list(core).await,
        Command::Remove { id } => remove(core, *id).await,
        Command::Move { id, chat } => relocate(core, *id, *chat).await,
    }
}

#[derive(Serialize)]
struct List {
    servers: Vec<Server>,
}

#[derive(Serialize)]
struct Server {
    id: ServerId,
    name: String,
    chat_id: ChatId,
    os: String,
    suspended: bool,
    paired_at: String,
    /// Absent where the operator moved it there.
    #[serde(skip_serializing_if = "Option::is_none")]
    paired_by: Option<UserId>,
    /// Since when its host reports as another chat's server.
    #[serde(skip_serializing_if = "Option::is_none")]
    unpaired_at: Option<String>,
    /// Absent until the first report.
    #[serde(skip_serializing_if = "Option::is_none")]
    heard_at: Option<String>,
}

async fn list(core: &Core) -> anyhow::Result<Answer> {
    let all = servers::all(&mut core.store.read().await?).await?;
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|server| {
            let heard = match (server.unpaired_at, server.received_at) {
                (Some(since), _) => format!("paired elsewhere, {}", shown(since)),
                (None, Some(at)) => shown(at),
                (None, None) => "never".to_owned(),
            };
            let by = server.paired_by.map_or_else(|| "-".to_owned(), |by| by.to_string());
            vec![server.id.to_string(), server.chat_id.to_string(), by, server.name.clone(), heard]
        })
        .collect();
    let lines = if rows.is_empty() {
        vec!["No server is paired.".to_owned()]
    } else {
        table(&["ID", "CHAT", "PAIRED BY", "NAME", "HEARD"], &rows)
    };
    let servers = all.into_iter().map(|server| Server {
        id: server.id,
        name: server.name,
        chat_id: server.chat_id,
        os: server.os,
        suspended: server.suspended,
        paired_at: moment(server.paired_at),
        paired_by: server.paired_by,
        unpaired_at: server.unpaired_at.map(moment),
        heard_at: server.received_at.map(moment),
    });
    Answer::new(&List { servers: servers.collect() }, lines)
}

#[derive(Serialize)]
struct Removed {
    id: ServerId,
    name: String,
    chat_id: ChatId,
}

async fn remove(core: &Core, id: ServerId) -> anyhow::Result<Answer> {
    let Some(operate::Removed { name, chat_id }) = operate::remove(core, id).await? else { return no_such_server(id) };
    let line = format!("{name} of chat {chat_id} is removed. Its agent learns it with its next request.");
    Answer::new(&Removed { id, name, chat_id }, vec![line])
}

#[derive(Serialize)]
struct MovedTo {
    id: ServerId,
    chat_id: ChatId,
    changed: bool,
    /// As it is called there.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<ChatId>,
}

async fn relocate(core: &Core, id: ServerId, to: ChatId) -> anyhow::Result<Answer> {
    match operate::relocate(core, id, to).await? {
        Moved::Done { name, from } => {
            let line = format!("{name} was moved from chat {from} to chat {to}.");
            Answer::new(&MovedTo { id, chat_id: to, changed: true, name: Some(name), from: Some(from) }, vec![line])
        }
        Moved::Already => {
            let line = format!("{id} was in chat {to} before.");
            Answer::new(&MovedTo { id, chat_id: to, changed: false, name: None, from: None }, vec![line])
        }
        Moved::NoSuchServer => no_such_server(id),
        Moved::NoSuchChat => refused(format!(
            "the bot knows no chat {to}: somebody who may use it has to write to it there first; `osm-api chats list` has all"
        )),
        Moved::NotAdmitted => {
            refused(format!("chat {to} is private, and its person may not use the bot: `osm-api access grant {to}` lets them in"))
        }
        Moved::Full => refused(format!("chat {to} has {PER_CHAT} servers, and no room for another: remove one there first")),
    }
}

fn no_such_server(id: ServerId) -> anyhow::Result<Answer> {
    refused(format!("there is no server {id}: `osm-api servers list` has all"))
}
