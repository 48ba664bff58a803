//! A question that waits for a second tap, and the server that it is about.

use crate::{
    domain::{
        confirmation::Confirmation,
        ids::{ChatId, ConfirmationId},
    },
    store::{self, Tx, confirmations, servers},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub confirmation: Confirmation,
    pub server_name: String,
}

/// Gives a question of this chat; `None` where it, or its server, is gone.
pub async fn question(tx: &mut Tx, chat_id: ChatId, id: ConfirmationId) -> store::Result<Option<Question>> {
    let Some(confirmation) = confirmations::get(tx, chat_id, id).await? else { return Ok(None) };
    let server = servers::by_id(tx, confirmation.server_id).await?.filter(|server| server.chat_id == chat_id);
    Ok(server.map(|server| Question { confirmation, server_name: server.name }))
}
