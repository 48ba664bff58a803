//! A person becomes the owner by the link.

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::{
    domain::{access::Word, intent::Actor},
    error::{Error, Result},
    keys,
    store::{self, Tx, meta, people},
    usecase::{Core, work::Work},
};

/// Gives a fresh claim code, if the bot has no owner and nobody is named. Only its hash is stored; one made before is dead.
pub async fn offer_claim(core: &Core) -> Result<Option<String>> {
    let mut tx = core.store.begin().await?;
    if !core.config.allowed_users.needs_owner(people::owner(&mut tx).await?) {
        return Ok(None);
    }
    let code = BASE64URL_NOPAD.encode(&keys::random().map_err(Error::internal)?[..16]);
    meta::set(&mut tx, meta::CLAIM_HASH, &hash(&code)).await?;
    tx.commit("offer-claim").await?;
    Ok(Some(code))
}

/// Makes this person the owner, if the code is the open one. It works once, and not for whom the operator keeps out.
pub async fn claim(work: &mut Work<'_>, actor: &Actor, code: &str) -> store::Result<bool> {
    // A link of before somebody was named in the configuration is dead.
    let tx = &mut work.tx;
    let open = work.core.config.allowed_users.needs_owner(people::owner(tx).await?)
        && people::word(tx, actor.id).await? != Some(Word::Revoked);
    Ok(open && meta::take(tx, meta::CLAIM_HASH, &hash(code)).await? && people::claim_ownership(tx, actor.id).await?)
}

/// Tells whether this is the open code: whoever brings it is no stranger.
pub async fn is_open(core: &Core, tx: &mut Tx, code: &str) -> store::Result<bool> {
    Ok(core.config.allowed_users.needs_owner(people::owner(tx).await?)
        && meta::get(tx, meta::CLAIM_HASH).await? == Some(hash(code)))
}

/// Codes have 128 random bits: comparing hashes by the database's index tells nothing about them.
fn hash(code: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(code.as_bytes()))
}
