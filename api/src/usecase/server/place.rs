//! A server's place in a chat: whether there is room, and under which name.

use crate::{
    domain::{
        ids::{ChatId, ServerId},
        server,
    },
    store::{self, Tx, servers},
};

/// Tells whether the chat may have another server.
pub async fn has_room(tx: &mut Tx, chat_id: ChatId) -> store::Result<bool> {
    Ok(servers::count(tx, chat_id).await? < server::PER_CHAT)
}

/// Gives the name, with a number where the chat has it already.
pub async fn free_name(tx: &mut Tx, chat_id: ChatId, base: &str, server_id: ServerId) -> store::Result<String> {
    let base: String = base.chars().take(64).collect();
    let mut name = base.clone();
    for number in 2..=server::PER_CHAT {
        let holders = servers::named(tx, chat_id, &name).await?;
        if holders.iter().all(|id| *id == server_id) {
            break;
        }
        name = format!("{base}-{number}");
    }
    Ok(name)
}
