//! A pairing token and what became of it.

use crate::{
    domain::{
        Millis,
        ids::{PairingId, UserId},
        pairing::{Pairing, State},
    },
    keys::Keys,
    store::{self, Tx, pairings, servers},
};

/// Gives a pairing that this person asked for, with its token while that is open.
pub async fn pairing(tx: &mut Tx, keys: &Keys, user_id: UserId, id: PairingId, now: Millis) -> store::Result<Option<Pairing>> {
    let Some(row) = pairings::get(tx, user_id, id).await? else { return Ok(None) };
    let state = if let Some(server_id) = row.server_id {
        let server = servers::by_id(tx, server_id).await?;
        State::Used { server_name: server.map_or_else(|| row.name.clone(), |server| server.name) }
    } else if row.expires_at <= now {
        State::Expired
    } else {
        State::Open { token: keys.pairing_token(id).text(), until: row.expires_at }
    };
    Ok(Some(Pairing { id: row.id, name: row.name, state }))
}
