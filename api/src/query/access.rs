//! Who may use the bot, and what is left of those who no longer may.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    domain::{
        Millis,
        access::{Admission, Allowed, Word},
        ids::{ChatId, UserId},
    },
    store::{
        self, Tx, people,
        servers::{self, Place},
    },
};

/// Judges whether a person may use the bot, at this moment.
pub async fn admission(tx: &mut Tx, allowed: &Allowed, user_id: UserId) -> store::Result<Admission> {
    let owner = people::owner(tx).await?;
    let word = people::word(tx, user_id).await?;
    Ok(allowed.admission(user_id, owner, word))
}

/// All that says who may use the bot, loaded at once to judge many.
struct Roll<'a> {
    allowed: &'a Allowed,
    owner: Option<UserId>,
    words: BTreeMap<UserId, (Word, Millis)>,
}

impl<'a> Roll<'a> {
    async fn load(tx: &mut Tx, allowed: &'a Allowed) -> store::Result<Self> {
        let words = people::all(tx).await?.into_iter().map(|person| (person.user_id, (person.word, person.since))).collect();
        Ok(Self { allowed, owner: people::owner(tx).await?, words })
    }

    fn admission(&self, user_id: UserId) -> Admission {
        self.allowed.admission(user_id, self.owner, self.words.get(&user_id).map(|(word, _)| *word))
    }
}

/// A person whom something names, and whether they may use the bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    pub user_id: UserId,
    pub admission: Admission,
    /// Since when the operator's word holds, where it does.
    pub since: Option<Millis>,
}

/// Lists everybody whom something names, by their number: the owner, the operator's words, the configuration.
pub async fn people(tx: &mut Tx, allowed: &Allowed) -> store::Result<Vec<Person>> {
    let roll = Roll::load(tx, allowed).await?;
    let listed = match allowed {
        Allowed::Listed(users) => users.as_slice(),
        Allowed::Everyone => &[],
    };
    let named: BTreeSet<UserId> = roll.owner.iter().chain(roll.words.keys()).chain(listed).copied().collect();
    let person = |user_id| {
        let admission = roll.admission(user_id);
        let by_word = matches!(admission, Admission::Granted | Admission::Revoked);
        let since = roll.words.get(&user_id).filter(|_| by_word).map(|(_, since)| *since);
        Person { user_id, admission, since }
    };
    Ok(named.into_iter().map(person).collect())
}

/// Servers that stand in a chat on behalf of somebody who may no longer use the bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    pub chat_id: ChatId,
    /// The person of the private chat; in a group, who paired them there.
    pub user_id: UserId,
    pub servers: Vec<String>,
}

/// Lists what is left of people who may no longer use the bot: servers of their private chats, and those that they paired in
/// groups.
pub async fn left_behind(tx: &mut Tx, allowed: &Allowed) -> store::Result<Vec<Left>> {
    let roll = Roll::load(tx, allowed).await?;
    let mut left = Vec::new();
    for Place { chat_id, paired_by } in servers::places(tx).await? {
        let Some(user_id) = chat_id.person().or(paired_by) else { continue };
        if roll.admission(user_id).is_admitted() {
            continue;
        }
        let servers = servers::names_at(tx, &Place { chat_id, paired_by }).await?;
        left.push(Left { chat_id, user_id, servers });
    }
    Ok(left)
}
