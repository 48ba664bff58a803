//! The owner is claimed; somebody is let in or not.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::{
    domain::{
        access::{Role, Standing, required},
        intent::{Actor, ChatKind, Intent, Request},
    },
    error::{Error, Result},
    keys,
    store::{self, Tx, chats, meta, servers},
    usecase::{Core, work::Work},
};

/// Gives a fresh claim code, if the bot has no owner and nobody is named. Only its hash is stored; one made before is dead.
pub async fn offer_claim(core: &Core) -> Result<Option<String>> {
    let mut tx = core.store.begin().await?;
    if !core.config.allowed_users.needs_owner(meta::owner(&mut tx).await?) {
        return Ok(None);
    }
    let code = BASE64URL_NOPAD.encode(&keys::random().map_err(Error::internal)?[..16]);
    meta::set(&mut tx, meta::CLAIM_HASH, &hash(&code)).await?;
    tx.commit("offer-claim").await?;
    Ok(Some(code))
}

/// Makes this person the owner, if the code is the open one. It works once.
pub async fn claim(work: &mut Work<'_>, actor: &Actor, code: &str) -> store::Result<bool> {
    // A link of before somebody was named in the configuration is dead.
    let tx = &mut work.tx;
    let open = work.core.config.allowed_users.needs_owner(meta::owner(tx).await?);
    Ok(open
        && meta::take(tx, meta::CLAIM_HASH, &hash(code)).await?
        && meta::set_once(tx, meta::OWNER, &actor.id.to_string()).await?)
}

/// Gives the role of whoever sent this, or `None` for a stranger.
pub async fn role(work: &mut Work<'_>, request: &Request, standing: Standing) -> store::Result<Option<Role>> {
    let tx = &mut work.tx;
    let owner = meta::owner(tx).await?;
    let acts = standing == Standing::Administrator || owner == Some(request.actor.id);
    let admitted = work.core.config.allowed_users.admits(request.actor.id, owner);
    match request.chat.kind {
        ChatKind::Private => Ok(admitted.then_some(Role::Manager)),
        ChatKind::Group if request.actor.id == Actor::ANONYMOUS_ADMIN => viewer_of_own(tx, request).await,
        ChatKind::Group if admitted && acts => Ok(Some(Role::Manager)),
        ChatKind::Group if admitted => Ok(Some(Role::Viewer)),
        ChatKind::Group => viewer_of_own(tx, request).await,
    }
}

/// Tells whether nobody here has anything to do with whoever asks: not admitted, without the open claim code, in no group that
/// looks at a server; what a known chat becomes is heard all the same.
pub async fn is_stranger(core: &Core, tx: &mut Tx, request: &Request) -> store::Result<bool> {
    let owner = meta::owner(tx).await?;
    if core.config.allowed_users.admits(request.actor.id, owner) {
        return Ok(false);
    }
    if let Intent::Reachable { .. } | Intent::Migrated { .. } = &request.intent {
        return Ok(chats::get(tx, request.chat.id).await?.is_none());
    }
    if let Intent::Start { code: Some(code) } = &request.intent
        && core.config.allowed_users.needs_owner(owner)
    {
        return Ok(meta::get(tx, meta::CLAIM_HASH).await? != Some(hash(code)));
    }
    Ok(request.chat.kind == ChatKind::Private || viewer_of_own(tx, request).await?.is_none())
}

/// Tells whether Telegram has to be asked if the sender is an administrator of the group: for those alone whom it would let act.
pub async fn depends_on_group_role(core: &Core, request: &Request) -> store::Result<bool> {
    if request.chat.kind != ChatKind::Group || required(&request.intent) <= Role::Viewer {
        return Ok(false);
    }
    let owner = meta::owner(&mut core.store.read().await?).await?;
    Ok(owner != Some(request.actor.id) && core.config.allowed_users.admits(request.actor.id, owner))
}

/// Members of a group look at what somebody who may has paired there.
async fn viewer_of_own(tx: &mut Tx, request: &Request) -> store::Result<Option<Role>> {
    Ok((servers::count(tx, request.chat.id).await? > 0).then_some(Role::Viewer))
}

/// Codes have 128 random bits: comparing hashes by the database's index tells nothing about them.
fn hash(code: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(code.as_bytes()))
}
