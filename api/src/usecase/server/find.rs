//! Which server of a chat is meant.

use crate::{
    domain::{
        ids::{ChatId, ServerId},
        notice::{Notice, Purpose},
    },
    store::{self, Tx, servers},
};

pub enum Found {
    One(ServerId),
    /// What to say instead.
    Other(Notice),
}

/// Finds the server that a person means by this name, or by none.
pub async fn find(tx: &mut Tx, chat_id: ChatId, name: Option<&str>, purpose: Purpose) -> store::Result<Found> {
    let Some(name) = name else {
        let servers = servers::list(tx, chat_id, 0, 2).await?;
        return Ok(match (servers.as_slice(), purpose) {
            ([], _) => Found::Other(Notice::Welcome { claimed: false }),
            // Removing asks which one even where there is one: nobody removes a server by a bare command.
            ([only], Purpose::Status) => Found::One(only.id),
            _ => Found::Other(Notice::Choose { purpose }),
        });
    };
    Ok(match servers::named(tx, chat_id, name).await?.as_slice() {
        [] => Found::Other(Notice::NoSuchServer { name: name.to_owned() }),
        [only] => Found::One(*only),
        _ => Found::Other(Notice::Choose { purpose }),
    })
}
