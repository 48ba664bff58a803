//! A pairing token is made, used, dead.

use osm_protocol::{
    envelope,
    key::PublicKey,
    keyset::{Pairing, Replace},
    messages::{PairRequest, PairResponse},
    pairing_token::PairingToken,
};

use crate::{
    domain::{
        MINUTE, Millis,
        intent::{ChatKind, Family, Request},
        notice::{Limit, Notice, Toast, Urgency},
        server,
    },
    error::{Refusal, Result},
    store::{self, Tx, chats, pairings, servers},
    usecase::{Core, alert, command, tell::Teller},
};

const VALID: Millis = 15 * MINUTE;
/// Tokens a person may have open at a time.
const OPEN_MAX: i64 = 10;

/// `/add_server [name]`: a token, shown in the asker's private chat.
pub async fn start(tx: &mut Tx, core: &Core, teller: &Teller<'_>, request: &Request, name: Option<&str>) -> store::Result<()> {
    let (chat, actor, now) = (&request.chat, &request.actor, teller.now);
    teller.toast(tx, request.tap.as_ref(), Toast::Done).await?;
    let limit = if servers::count(tx, chat.id).await? >= server::PER_CHAT {
        Some(Limit::Servers)
    } else if pairings::count_open(tx, actor.id, now).await? >= OPEN_MAX {
        Some(Limit::PairingTokens)
    } else {
        None
    };
    if let Some(limit) = limit {
        return teller.send(tx, &Notice::LimitReached { limit }, Urgency::Answer).await.map(drop);
    }
    let in_group = chat.kind == ChatKind::Group;
    // A person's private chat has the person's id. A bot cannot write there first.
    if in_group && !chats::get(tx, actor.id).await?.is_some_and(|private| private.reachable) {
        return teller.send(tx, &Notice::PairingNeedsPrivateChat, Urgency::Answer).await.map(drop);
    }
    let pairing_id = core.clock.id();
    let message_id = core.clock.id();
    pairings::insert(
        tx,
        &pairings::New {
            id: &pairing_id,
            chat_id: chat.id,
            user_id: actor.id,
            name: name.unwrap_or_default(),
            token_hash: &core.keys.pairing_token(&pairing_id).hash(),
            created_at: now,
            expires_at: now + VALID,
            message_id: &message_id,
        },
    )
    .await?;
    let private = Teller { clock: &core.clock, chat_id: actor.id, now };
    private.send_as(tx, &message_id, &Notice::Pairing { pairing_id, family: Family::Short }, Urgency::Answer).await?;
    if in_group {
        teller.send(tx, &Notice::PairingSentPrivately { name: actor.name.clone() }, Urgency::Answer).await?;
    }
    Ok(())
}

/// The agent came with a token. `agent_key` signed the request.
pub async fn complete(core: &Core, request: &PairRequest, agent_key: &PublicKey, address: &str) -> Result<PairResponse> {
    request.validate().map_err(|invalid| Refusal::Invalid(invalid.to_string()))?;
    let token_hash = PairingToken::parse(&request.token).map_err(|_| Refusal::Token)?.hash();
    let now = core.clock.now();
    let mut tx = core.store.begin().await?;
    let old = replaced(&mut tx, request, agent_key, &token_hash).await?;
    let server_id = old.as_ref().map_or_else(|| core.clock.id(), |old| old.id.clone());

    let consumed = pairings::consume(&mut tx, &token_hash, &agent_key.to_string(), &server_id, now).await?;
    let Some(pairing) = consumed else {
        // The same token from the same key: its answer was lost, and is given again.
        let again = pairings::used_by(&mut tx, &token_hash, &agent_key.to_string()).await?.ok_or(Refusal::Token)?;
        let server_id = again.server_id.ok_or(Refusal::Token)?;
        let server = servers::by_id(&mut tx, &server_id).await?.ok_or(Refusal::Removed)?;
        return Ok(response(core, &server_id, server.name, agent_key, token_hash));
    };
    if servers::by_key_id(&mut tx, &agent_key.id()).await?.is_some() || servers::was_removed(&mut tx, &agent_key.id()).await? {
        return Err(Refusal::Invalid("agent_key: was paired before; make a new key for each pairing".to_owned()).into());
    }

    let known_as = old.as_ref().map_or(&request.host.hostname, |old| &old.name);
    let base = if pairing.name.is_empty() { known_as } else { &pairing.name };
    let name = free_name(&mut tx, pairing.chat_id, base, &server_id).await?;
    let new = servers::New {
        id: &server_id,
        chat_id: pairing.chat_id,
        name: &name,
        agent_key,
        machine: &request.machine,
        os: &request.host.os,
        address,
        paired_at: now,
    };
    if old.as_ref().is_none_or(|old| old.chat_id != pairing.chat_id) {
        need_room(&mut tx, pairing.chat_id).await?;
    }
    if let Some(old) = &old {
        servers::replace(&mut tx, &new).await?;
        alert::forget(&mut tx, core, &old.id, now).await?;
        command::end_all(&mut tx, core, &old.id, now).await?;
        if let Ok(old_key) = PublicKey::parse(&old.agent_key) {
            servers::forget_key(&mut tx, &old_key.id(), now).await?;
        }
        if old.chat_id != pairing.chat_id {
            let teller = Teller { clock: &core.clock, chat_id: old.chat_id, now };
            teller.send(&mut tx, &Notice::Unpaired { name: old.name.clone() }, Urgency::Background).await?;
        }
    } else {
        servers::insert(&mut tx, &new).await?;
    }
    close_messages(&mut tx, core, now).await?;
    let teller = Teller { clock: &core.clock, chat_id: pairing.chat_id, now };
    teller.send(&mut tx, &Notice::Paired { server_id: server_id.clone() }, Urgency::Answer).await?;
    tx.commit("pair").await?;
    Ok(response(core, &server_id, name, agent_key, token_hash))
}

/// Edits the messages of used and expired tokens, so that no chat keeps one.
pub async fn close_messages(tx: &mut Tx, core: &Core, now: Millis) -> store::Result<()> {
    for pairing in pairings::close_dead(tx, now).await? {
        let teller = Teller { clock: &core.clock, chat_id: pairing.user_id, now };
        let notice = Notice::Pairing { pairing_id: pairing.id, family: Family::Short };
        teller.edit(tx, &pairing.message_id, &notice, Urgency::Answer).await?;
    }
    Ok(())
}

async fn need_room(tx: &mut Tx, chat_id: i64) -> Result<()> {
    if servers::count(tx, chat_id).await? < server::PER_CHAT {
        return Ok(());
    }
    Err(Refusal::Invalid(format!("this chat has {} servers, and no room for another", server::PER_CHAT)).into())
}

/// The server whose old key signed the replacement, if it is still paired.
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

/// The name, with a number where the chat has it already.
async fn free_name(tx: &mut Tx, chat_id: i64, base: &str, server_id: &str) -> store::Result<String> {
    let base: String = base.chars().take(64).collect();
    let mut name = base.clone();
    for number in 2..=server::PER_CHAT {
        let holders = servers::named(tx, chat_id, &name).await?;
        if holders.iter().all(|id| id == server_id) {
            break;
        }
        name = format!("{base}-{number}");
    }
    Ok(name)
}

fn response(core: &Core, server_id: &str, name: String, agent_key: &PublicKey, token_hash: String) -> PairResponse {
    let pairing = Pairing { server_id: server_id.to_owned(), agent_key: agent_key.to_string(), token_hash };
    PairResponse {
        server_id: server_id.to_owned(),
        name,
        key_set: core.keys.key_set.clone(),
        pairing: core.keys.sign(envelope::PAIRING, &pairing),
    }
}
