//! What the operator said of people, and who the owner is.

use super::{
    db::{Result, Tx, execute, on},
    meta,
};
use crate::domain::{Millis, access::Word, ids::UserId};

/// A person of whom the operator said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub struct Person {
    pub user_id: UserId,
    pub word: Word,
    pub since: Millis,
}

/// Gives the owner, if there is one.
pub async fn owner(tx: &mut Tx) -> Result<Option<UserId>> {
    Ok(meta::get(tx, meta::OWNER).await?.and_then(|id| id.parse().ok()))
}

/// Makes a person the owner, unless there is one; tells whether it did.
pub async fn claim_ownership(tx: &mut Tx, user_id: UserId) -> Result<bool> {
    meta::set_once(tx, meta::OWNER, &user_id.to_string()).await
}

/// Makes a person the owner in the place of whoever was.
pub async fn set_owner(tx: &mut Tx, user_id: UserId) -> Result<()> {
    meta::set(tx, meta::OWNER, &user_id.to_string()).await
}

/// Gives what the operator said of a person.
pub async fn word(tx: &mut Tx, user_id: UserId) -> Result<Option<Word>> {
    on!(tx, conn => sqlx::query_scalar("SELECT word FROM people WHERE user_id = $1").bind(user_id).fetch_optional(conn).await)
}

/// Notes what the operator says of a person; tells whether that is new.
pub async fn set_word(tx: &mut Tx, user_id: UserId, word: Word, now: Millis) -> Result<bool> {
    let done = execute!(
        tx,
        sqlx::query(
            "INSERT INTO people (user_id, word, since) VALUES ($1, $2, $3)
         ON CONFLICT (user_id) DO UPDATE SET word = excluded.word, since = excluded.since WHERE people.word <> excluded.word"
        )
        .bind(user_id)
        .bind(word)
        .bind(now)
    )?;
    Ok(done == 1)
}

/// Takes back what was said of a person.
pub async fn forget(tx: &mut Tx, user_id: UserId) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM people WHERE user_id = $1").bind(user_id))?;
    Ok(())
}

/// Lists all of whom something was said, by their number.
pub async fn all(tx: &mut Tx) -> Result<Vec<Person>> {
    on!(tx, conn => sqlx::query_as("SELECT user_id, word, since FROM people ORDER BY user_id").fetch_all(conn).await)
}
