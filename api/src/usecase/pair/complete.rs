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
        ids::{ChatId, ServerId},
        notice::{Notice, Urgency},
        server,
    },
    error::{Refusal, Result},
    store::{self, Tx, pairings, servers},
    usecase::{Core, alert::judge, command, pair::token, work::Work},
};

/// Pairs the host that `agent_key` signs for.
pub async fn complete(core: &Core, request: &PairRequest, agent_key: &PublicKey, address: &str) -> Result<PairResponse> {
    let token_hash = PairingToken::parse(&request.token).map_err(|_| Refusal::Token)?.hash();
    let mut work = Work::begin(core, By::Agent {}).await?;
    let old = replaced(&mut work.tx, request, agent_key, &token_hash).await?;
    let server_id = old.as_ref().map_or_else(|| work.id(), |old| old.id);

    let key = agent_key.to_string();
    let Some(pairing) = pairings::consume(&mut work.tx, &token_hash, &key, server_id, work.now).await? else {
        // The same token from the same key: its answer was lost, and is given again.
        let again = pairings::used_by(&mut work.tx, &token_hash, &key).await?.ok_or(Refusal::Token)?;
        let server_id = again.server_id.ok_or(Refusal::Token)?;
        let server = servers::by_id(&mut work.tx, server_id).await?.ok_or(Refusal::Removed)?;
        return Ok(response(core, server_id, server.name, agent_key, token_hash));
    };
    need_new_key(&mut work.tx, agent_key).await?;

    let known_as = old.as_ref().map_or(&request.host.hostname, |old| &old.name);
    let base = if pairing.name.is_empty() { known_as } else { &pairing.name };
    let name = free_name(&mut work.tx, pairing.chat_id, base, server_id).await?;
    let new = servers::New {
        id: server_id,
        chat_id: pairing.chat_id,
        name: &name,
        agent_key,
        machine: &request.machine,
        os: &request.host.os,
        address,
        paired_at: work.now,
    };
    if old.as_ref().is_none_or(|old| old.chat_id != pairing.chat_id) {
        need_room(&mut work.tx, pairing.chat_id).await?;
    }
    match &old {
        Some(old) => replace(&mut work, old, &new).await?,
        None => servers::insert(&mut work.tx, &new).await?,
    }
    let event = Event::Paired { fingerprint: agent_key.fingerprint(), address: address.to_owned(), again: old.is_some() };
    work.record(Happened::to_server(pairing.chat_id, server_id, &name, event));
    token::close_messages(&mut work).await?;
    work.send(pairing.chat_id, &Notice::Paired { server_id }, Urgency::Answer).await?;
    work.commit("pair").await?;
    Ok(response(core, server_id, name, agent_key, token_hash))
}

async fn need_new_key(tx: &mut Tx, agent_key: &PublicKey) -> Result<()> {
    let key_id = agent_key.id();
    if servers::by_key_id(tx, &key_id).await?.is_some() || servers::removed_key(tx, &key_id).await?.is_some() {
        return Err(Refusal::Invalid("agent_key: was paired before; make a new key for each pairing".to_owned()).into());
    }
    Ok(())
}

/// Puts the re-paired host in the place of what was known of it, and ends what was asked of that.
async fn replace(work: &mut Work<'_>, old: &servers::Agent, new: &servers::New<'_>) -> store::Result<()> {
    servers::replace(&mut work.tx, new).await?;
    judge::forget(work, old.id).await?;
    command::finish::end_all(work, old.id).await?;
    if let Ok(old_key) = PublicKey::parse(&old.agent_key) {
        servers::forget_key(&mut work.tx, &old_key.id(), &old.agent_key, work.now).await?;
    }
    if old.chat_id != new.chat_id {
        work.send(old.chat_id, &Notice::Unpaired { name: old.name.clone() }, Urgency::Background).await?;
    }
    Ok(())
}

async fn need_room(tx: &mut Tx, chat_id: ChatId) -> Result<()> {
    if servers::count(tx, chat_id).await? < server::PER_CHAT {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("this chat has {} servers, and no room for another", server::PER_CHAT)).into())
}

/// Gives the server whose old key signed the replacement, if it is still paired.
async fn replaced(tx: &mut Tx, request: &PairRequest, new_key: &PublicKey, token_hash: &str) -> Result<Option<servers::Agent>> {
    let Some(envelope) = &request.replaces else { return Ok(None) };
    let Some(signature) = envelope.signatures.first() else { return Ok(None) };
    let Some(old) = servers::by_key_id(tx, &signature.keyid).await? else { return Ok(None) };
    let wrong = || Refusal::Invalid("replaces: not a replacement of this server by this key with this token".to_owned());
    let old_key = PublicKey::parse(&old.agent_key).map_err(|_| wrong())?;
    let replace = Replace::open(envelope, &old_key).map_err(|_| wrong())?;
    if replace.server_id != old.id || replace.new_key != new_key.to_string() || replace.token_hash != token_hash {
        return Err(wrong().into());
    }
    // A clone brings its original's key along, and is another server all the same.
    Ok((old.machine == request.machine).then_some(old))
}

/// Gives the name, with a number where the chat has it already.
async fn free_name(tx: &mut Tx, chat_id: ChatId, base: &str, server_id: ServerId) -> store::Result<String> {
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

fn response(core: &Core, server_id: ServerId, name: String, agent_key: &PublicKey, token_hash: String) -> PairResponse {
    let pairing = Pairing { server_id, agent_key: agent_key.to_string(), token_hash };
    PairResponse { server_id, name, key_set: core.keys.key_set.clone(), pairing: core.keys.sign(envelope::PAIRING, &pairing) }
}
