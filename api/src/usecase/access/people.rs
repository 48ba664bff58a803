//! The operator lets people in, keeps them out, and names the owner.

use crate::{
    domain::{
        access::{Admission, Word},
        event::{By, Event, Happened},
        ids::UserId,
        notice::{Notice, Urgency},
    },
    query::access::{self, Left},
    store::{self, meta, pairings, people},
    usecase::{Core, access::left, pair::token, work::Work},
};

/// Lets a person use the bot, whatever the configuration says; tells whether that is new.
pub async fn grant(core: &Core, user_id: UserId) -> store::Result<bool> {
    let mut work = Work::begin(core, By::Operator {}).await?;
    if admission(&mut work, user_id).await? == Admission::Owner
        || !people::set_word(&mut work.tx, user_id, Word::Granted, work.now).await?
    {
        return Ok(false);
    }
    work.record(Happened::here(Event::AccessGranted { user: user_id }));
    tell(&mut work, user_id, &Notice::AccessGranted).await?;
    work.commit("operate").await?;
    Ok(true)
}

/// What became of a revocation.
#[derive(Debug, PartialEq, Eq)]
pub enum Revoked {
    Done(Ended),
    /// They were kept out before.
    Already,
    /// The owner stays until another one is named.
    IsOwner,
}

/// What ended with somebody's admission, and what is left of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// Pairing tokens that can no longer be used.
    pub tokens: u64,
    pub left: Vec<Left>,
}

/// Keeps a person out, whatever else names them.
pub async fn revoke(core: &Core, user_id: UserId) -> store::Result<Revoked> {
    let mut work = Work::begin(core, By::Operator {}).await?;
    match admission(&mut work, user_id).await? {
        Admission::Owner => return Ok(Revoked::IsOwner),
        Admission::Revoked => return Ok(Revoked::Already),
        Admission::Granted | Admission::Listed | Admission::Everyone | Admission::Stranger => {}
    }
    work.record(Happened::here(Event::AccessRevoked { user: user_id }));
    let tokens = keep_out(&mut work, user_id).await?;
    let left = of(left::tell_owner(&mut work).await?, user_id);
    work.commit("operate").await?;
    Ok(Revoked::Done(Ended { tokens, left }))
}

/// What became of the naming of an owner.
#[derive(Debug, PartialEq, Eq)]
pub enum OwnerSet {
    /// The one before, if there was one, is kept out from now on.
    Done {
        before: Option<(UserId, Ended)>,
    },
    Already,
}

/// Makes a person the owner. Whoever was it before is kept out until they are let in again: their account may be stolen.
pub async fn set_owner(core: &Core, user_id: UserId) -> store::Result<OwnerSet> {
    let mut work = Work::begin(core, By::Operator {}).await?;
    let before = people::owner(&mut work.tx).await?;
    if before == Some(user_id) {
        return Ok(OwnerSet::Already);
    }
    people::set_owner(&mut work.tx, user_id).await?;
    people::forget(&mut work.tx, user_id).await?;
    meta::clear(&mut work.tx, meta::CLAIM_HASH).await?;
    work.record(Happened::here(Event::OwnerSet { user: user_id, before }));
    tell(&mut work, user_id, &Notice::OwnerSet).await?;
    let tokens = match before {
        Some(before) => keep_out(&mut work, before).await?,
        None => 0,
    };
    let left = left::tell_owner(&mut work).await?;
    work.commit("operate").await?;
    Ok(OwnerSet::Done { before: before.map(|before| (before, Ended { tokens, left: of(left, before) })) })
}

async fn admission(work: &mut Work<'_>, user_id: UserId) -> store::Result<Admission> {
    access::admission(&mut work.tx, &work.core.config.allowed_users, user_id).await
}

/// Revokes a person who is not the owner: their open tokens die, and they are told. Gives the number of tokens.
async fn keep_out(work: &mut Work<'_>, user_id: UserId) -> store::Result<u64> {
    people::set_word(&mut work.tx, user_id, Word::Revoked, work.now).await?;
    let tokens = pairings::end_of(&mut work.tx, user_id, work.now).await?;
    token::close_messages(work).await?;
    tell(work, user_id, &Notice::AccessRevoked).await?;
    Ok(tokens)
}

/// Tells a person, who hears it if they ever wrote to the bot: to others it cannot write.
async fn tell(work: &mut Work<'_>, user_id: UserId, notice: &Notice) -> store::Result<()> {
    work.send(user_id.private_chat(), notice, Urgency::Answer).await
}

fn of(left: Vec<Left>, user_id: UserId) -> Vec<Left> {
    left.into_iter().filter(|left| left.user_id == user_id).collect()
}
