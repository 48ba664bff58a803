//! The role of whoever wrote or tapped, looked up at this very request.

use crate::{
    domain::{
        access::{Admission, Role, Standing, required},
        intent::{Actor, ChatKind, Intent, Request},
    },
    query::access,
    store::{self, Tx, chats, servers},
    usecase::{Core, access::claim, work::Work},
};

/// Gives the role of whoever sent this, or `None` for a stranger.
pub async fn role(work: &mut Work<'_>, request: &Request, standing: Standing) -> store::Result<Option<Role>> {
    let tx = &mut work.tx;
    let admission = access::admission(tx, &work.core.config.allowed_users, request.actor.id).await?;
    let acts = standing == Standing::Administrator || admission == Admission::Owner;
    match request.chat.kind {
        ChatKind::Private => Ok(admission.is_admitted().then_some(Role::Manager)),
        ChatKind::Group if request.actor.id == Actor::ANONYMOUS_ADMIN => viewer_of_own(tx, request).await,
        ChatKind::Group if admission.is_admitted() && acts => Ok(Some(Role::Manager)),
        ChatKind::Group if admission.is_admitted() => Ok(Some(Role::Viewer)),
        ChatKind::Group => viewer_of_own(tx, request).await,
    }
}

/// Tells whether nobody here has anything to do with whoever asks: not admitted, without the open claim code, in no group that
/// looks at a server; what a known chat becomes is heard all the same.
pub async fn is_stranger(core: &Core, tx: &mut Tx, request: &Request) -> store::Result<bool> {
    if access::admission(tx, &core.config.allowed_users, request.actor.id).await?.is_admitted() {
        return Ok(false);
    }
    if let Intent::Reachable { .. } | Intent::Migrated { .. } = &request.intent {
        return Ok(chats::get(tx, request.chat.id).await?.is_none());
    }
    if let Intent::Start { code: Some(code) } = &request.intent
        && claim::is_open(core, tx, code).await?
    {
        return Ok(false);
    }
    Ok(request.chat.kind == ChatKind::Private || viewer_of_own(tx, request).await?.is_none())
}

/// Tells whether Telegram has to be asked if the sender is an administrator of the group: for those alone whom it would let act.
pub async fn depends_on_group_role(core: &Core, request: &Request) -> store::Result<bool> {
    if request.chat.kind != ChatKind::Group || required(&request.intent) <= Role::Viewer {
        return Ok(false);
    }
    let mut tx = core.store.read().await?;
    let admission = access::admission(&mut tx, &core.config.allowed_users, request.actor.id).await?;
    Ok(admission.is_admitted() && admission != Admission::Owner)
}

/// Members of a group look at what somebody who may has paired there.
async fn viewer_of_own(tx: &mut Tx, request: &Request) -> store::Result<Option<Role>> {
    Ok((servers::count(tx, request.chat.id).await? > 0).then_some(Role::Viewer))
}
