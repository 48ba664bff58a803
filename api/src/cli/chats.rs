//! The chats that the bot works in.

use clap::Subcommand;
use serde::Serialize;

use crate::{
    cli::{
        print::{Answer, table},
        typed::{chat, refused},
    },
    domain::ids::ChatId,
    query::access,
    store::chats,
    usecase::{
        Core,
        chat::revoke::{self, Revoked},
    },
};

#[derive(Subcommand)]
pub enum Command {
    /// List the chats, with the number of servers in each.
    List,
    /// Remove the servers, open tokens and settings of a chat, tell it, and leave it, if it is a group.
    Revoke {
        /// The chat's number at Telegram; that of a group is negative.
        #[arg(value_parser = chat, allow_negative_numbers = true)]
        chat: ChatId,
    },
}

pub async fn run(core: &Core, command: &Command) -> anyhow::Result<Answer> {
    match command {
        Command::List => list(core).await,
        Command::Revoke { chat } => revoke(core, *chat).await,
    }
}

#[derive(Serialize)]
struct List {
    chats: Vec<Shape>,
}

#[derive(Serialize)]
struct Shape {
    chat_id: ChatId,
    kind: &'static str,
    reachable: bool,
    servers: i64,
    open_tokens: i64,
    /// Whether the person of a private chat may use the bot, and by what.
    #[serde(skip_serializing_if = "Option::is_none")]
    admission: Option<&'static str>,
}

async fn list(core: &Core) -> anyhow::Result<Answer> {
    let mut tx = core.store.read().await?;
    let mut all = Vec::new();
    for chat in chats::all(&mut tx, core.clock.now()).await? {
        let admission = match chat.id.person() {
            Some(person) => Some(access::admission(&mut tx, &core.config.allowed_users, person).await?.as_str()),
            None => None,
        };
        all.push(Shape {
            chat_id: chat.id,
            kind: chat.kind.as_str(),
            reachable: chat.reachable,
            servers: chat.servers,
            open_tokens: chat.open_tokens,
            admission,
        });
    }
    let row = |chat: &Shape| {
        let reach = if chat.reachable { "yes" } else { "no" };
        let (servers, tokens) = (chat.servers.to_string(), chat.open_tokens.to_string());
        let admission = chat.admission.unwrap_or("-").to_owned();
        vec![chat.chat_id.to_string(), chat.kind.to_owned(), servers, tokens, reach.to_owned(), admission]
    };
    let rows: Vec<Vec<String>> = all.iter().map(row).collect();
    let lines = if rows.is_empty() {
        vec!["Nobody who may use the bot has written to it.".to_owned()]
    } else {
        table(&["CHAT", "KIND", "SERVERS", "OPEN TOKENS", "REACHABLE", "ADMISSION"], &rows)
    };
    Answer::new(&List { chats: all }, lines)
}

#[derive(Serialize)]
struct RevokedShape {
    chat_id: ChatId,
    servers: Vec<String>,
    tokens: u64,
}

async fn revoke(core: &Core, chat_id: ChatId) -> anyhow::Result<Answer> {
    let Some(Revoked { servers, tokens }) = revoke::revoke(core, chat_id).await? else {
        return refused(format!("the bot knows no chat {chat_id}: `osm-api chats list` has all"));
    };
    let mut lines = vec![format!("Removed from chat {chat_id}: {} servers, {tokens} open pairing tokens.", servers.len())];
    lines.extend((!servers.is_empty()).then(|| format!("Servers: {}.", servers.join(", "))));
    lines.push(match chat_id.person() {
        Some(person) => {
            format!("The person may still use the bot if they are admitted: `osm-api access revoke {person}` keeps them out.")
        }
        None => "The bot leaves the group when it has said so there.".to_owned(),
    });
    Answer::new(&RevokedShape { chat_id, servers, tokens }, lines)
}
