//! An agent comes with a token.

use osm_protocol::{
    envelope,
    key::PublicKey,
    keyset::{Pairing, Replace},
    messages::{PairRequest, PairResponse},
    pairing_token::PairingToken,
};

use crate::{
    domain::{
        event::{By, Event, Happened},
        ids::{ChatId, ServerId, UserId},
        notice::{Notice, Urgency},
        server,
    },
    error::{Refusal, Result},
    query::access,
    store::{self, Tx, Wake, pairings, servers},
    usecase::{Core, alert::judge, command, pair::token, server::place, work::Work},
};

/// Pairs the host that `agent_key` signs for.
pub async fn complete(core: &Core, request: &PairRequest, agent_key: &PublicKey, address: &str) -> Result<PairResponse> {
    let token_hash = PairingToken::parse(&request.token).map_err(|_| Refusal::Token)?.hash();
    let mut work = Work::begin(core, By::Agent {}).await?;
    let old = replaced(&mut work.tx, request, agent_key, &token_hash).await?;
    // A host stays the same server within its chat; in another one it begins anew.
    let place = pairings::chat_of(&mut work.tx, &token_hash).await?;
    let same = old.as_ref().filter(|old| Some(old.chat_id) == place);
    let server_id = same.map_or_else(|| work.id(), |old| old.id);

    let key = agent_key.to_string();
    let Some(pairing) = pairings::consume(&mut work.tx, &token_hash, &key, server_id, work.now).await? else {
        // The same token from the same key: its answer was lost, and is given again.
        let Some(again) = pairings::used_by(&mut work.tx, &token_hash, &key).await? else {
            // Of a server that was removed its token is gone, and its key is remembered.
            if servers::removed_key(&mut work.tx, agent_key.id()).await?.is_some() {
                return Err(Refusal::Removed(None).into());
            }
            tell_of_other(work, &token_hash, &key, address).await?;
            return Err(Refusal::Token.into());
        };
        let server_id = again.server_id.ok_or(Refusal::Token)?;
        let server = servers::by_id(&mut work.tx, server_id).await?.ok_or(Refusal::Removed(None))?;
        return Ok(response(core, server_id, server.name, agent_key, token_hash));
    };
    need_admitted(&mut work, pairing.user_id).await?;
    need_new_key(&mut work.tx, agent_key).await?;

    let known_as = old.as_ref().map_or(&request.host.hostname, |old| &old.name);
    let base = if pairing.name.is_empty() { known_as } else { &pairing.name };
    let name = place::free_name(&mut work.tx, pairing.chat_id, base, server_id).await?;
    let new = servers::New {
        id: server_id,
        chat_id: pairing.chat_id,
        name: &name,
        agent_key,
        machine: &request.machine,
        os: &request.host.os,
        address,
        paired_at: work.now,
        paired_by: pairing.user_id,
        topic: pairing.topic,
    };
    match (&old, same) {
        (_, Some(old)) => replace(&mut work, old, &new).await?,
        (old, None) => {
            need_room(&mut work.tx, pairing.chat_id).await?;
            if let Some(old) = old {
                leave_behind(&mut work, old).await?;
            }
            servers::insert(&mut work.tx, &new).await?;
        }
    }
    let event = Event::Paired { fingerprint: agent_key.fingerprint(), address: address.to_owned(), again: same.is_some() };
    work.record(Happened::to_server(pairing.chat_id, server_id, &name, event));
    token::close_messages(&mut work).await?;
    work.send_of(server_id, pairing.chat_id, &Notice::Paired { server_id }, Urgency::Answer).await?;
    work.commit("pair").await?;
    Ok(response(core, server_id, name, agent_key, token_hash))
}

/// Whoever asked for the token must still be admitted. Whoever comes with it learns no more than of a wrong one.
async fn need_admitted(work: &mut Work<'_>, user_id: UserId) -> Result<()> {
    let admission = access::admission(&mut work.tx, &work.core.config.allowed_users, user_id).await?;
    if admission.is_admitted() { Ok(()) } else { Err(Refusal::Token.into()) }
}

/// Tells the chat, once, that another machine has its used token: somebody else has read it.
async fn tell_of_other(mut work: Work<'_>, token_hash: &str, key: &str, address: &str) -> store::Result<()> {
    let Some(pairing) = pairings::note_other(&mut work.tx, token_hash, key).await? else { return Ok(()) };
    let Some(server_id) = pairing.server_id else { return Ok(()) };
    let Some(server) = servers::by_id(&mut work.tx, server_id).await? else { return Ok(()) };
    let address = address.to_owned();
    let event = Event::TokenTried { address: address.clone() };
    work.record(Happened::to_server(server.chat_id, server_id, &server.name, event));
    work.send_of(server_id, server.chat_id, &Notice::TokenTried { server_id, address }, Urgency::Warning).await?;
    work.commit("token-tried").await
}

async fn need_new_key(tx: &mut Tx, agent_key: &PublicKey) -> Result<()> {
    let key_id = agent_key.id();
    if servers::by_key_id(tx, key_id).await?.is_some() || servers::removed_key(tx, key_id).await?.is_some() {
        return Err(Refusal::Invalid("agent_key: was paired before; make a new key for each pairing".to_owned()).into());
    }
    Ok(())
}

/// Puts the re-paired host in the place of what was known of it.
async fn replace(work: &mut Work<'_>, old: &servers::Agent, new: &servers::New<'_>) -> store::Result<()> {
    servers::replace(&mut work.tx, new).await?;
    forget(work, old).await
}

/// Parts what another chat knows of the host from it. That chat keeps the history, is told, and decides about it.
async fn leave_behind(work: &mut Work<'_>, old: &servers::Agent) -> store::Result<()> {
    servers::unpair(&mut work.tx, old.id, work.now).await?;
    forget(work, old).await?;
    work.record(Happened::to_server(old.chat_id, old.id, &old.name, Event::PairedElsewhere {}));
    work.send_of(old.id, old.chat_id, &Notice::PairedElsewhere { server_id: old.id }, Urgency::Background).await?;
    // Whoever still waits there with the old key learns it at once.
    work.tx.wake(Wake::Commands(old.id));
    Ok(())
}

/// Ends what was asked of a server and seen of it before its host was paired anew, and its key.
async fn forget(work: &mut Work<'_>, old: &servers::Agent) -> store::Result<()> {
    judge::forget(work, old.id).await?;
    command::finish::end_all(work, old.id).await?;
    if let Ok(old_key) = PublicKey::parse(&old.agent_key) {
        servers::forget_key(&mut work.tx, old_key.id(), &old.agent_key, work.now).await?;
    }
    Ok(())
}

async fn need_room(tx: &mut Tx, chat_id: ChatId) -> Result<()> {
    if place::has_room(tx, chat_id).await? {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("this chat has {} servers, and no room for another", server::PER_CHAT)).into())
}

/// Gives the server whose old key signed the replacement, if it is still paired.
async fn replaced(tx: &mut Tx, request: &PairRequest, new_key: &PublicKey, token_hash: &str) -> Result<Option<servers::Agent>> {
    let Some(envelope) = &request.replaces else { return Ok(None) };
    let Some(signature) = envelope.signatures.first() else { return Ok(None) };
    let Some(old) = servers::by_key_id(tx, signature.keyid).await? else { return Ok(None) };
    let wrong = || Refusal::Invalid("replaces: not a replacement of this server by this key with this token".to_owned());
    let old_key = PublicKey::parse(&old.agent_key).map_err(|_| wrong())?;
    let replace = Replace::open(envelope, &old_key).map_err(|_| wrong())?;
    if replace.server_id != old.id || replace.new_key != new_key.to_string() || replace.token_hash != token_hash {
        return Err(wrong().into());
    }
    // A clone brings its original's key along, and is another server all the same.
    Ok((old.machine == request.machine).then_some(old))
}

fn response(core: &Core, server_id: ServerId, name: String, agent_key: &PublicKey, token_hash: String) -> PairResponse {
    let pairing = Pairing { server_id, agent_key: agent_key.to_string(), token_hash };
    PairResponse { server_id, name, key_set: core.keys.key_set.clone(), pairing: core.keys.sign(envelope::PAIRING, &pairing) }
}
