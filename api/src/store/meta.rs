//! Facts of the whole installation.

use super::db::{Result, Tx, execute, on};

/// Telegram id of the owner: read and written by [`super::people`] alone.
pub const OWNER: &str = "owner";
/// `OSM_ALLOWED_USERS` with which the backend started last.
pub const ALLOWED_USERS: &str = "allowed-users";
/// SHA-256 of the open claim code, hexadecimal.
pub const CLAIM_HASH: &str = "claim-hash";

/// The number of the newest event that has one.
pub const EVENT_NUMBER: &str = "event-number";
/// When the owner was last told of refusals.
pub const REFUSALS_TOLD_AT: &str = "refusals-told-at";
/// When the owner was last told that the repositories run out.
pub const PACKAGES_TOLD_AT: &str = "packages-told-at";
/// Version of the key set with which the backend started last.
pub const KEY_SET_VERSION: &str = "key-set-version";

pub async fn get(tx: &mut Tx, key: &str) -> Result<Option<String>> {
    on!(tx, conn => sqlx::query_scalar("SELECT value FROM meta WHERE key = $1").bind(key).fetch_optional(conn).await)
}

pub async fn set(tx: &mut Tx, key: &str, value: &str) -> Result<()> {
    execute!(
        tx,
        sqlx::query("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
            .bind(key)
            .bind(value)
    )?;
    Ok(())
}

/// Sets it unless it is set; whether it was.
pub async fn set_once(tx: &mut Tx, key: &str, value: &str) -> Result<bool> {
    let done = execute!(
        tx,
        sqlx::query("INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING").bind(key).bind(value)
    )?;
    Ok(done == 1)
}

/// Deletes it, if it is set.
pub async fn clear(tx: &mut Tx, key: &str) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM meta WHERE key = $1").bind(key))?;
    Ok(())
}

/// Deletes it if it has this value; whether it had.
pub async fn take(tx: &mut Tx, key: &str, value: &str) -> Result<bool> {
    let done = execute!(tx, sqlx::query("DELETE FROM meta WHERE key = $1 AND value = $2").bind(key).bind(value))?;
    Ok(done == 1)
}

/// Gives a counter's value, 0 at first, and holds its row until the transaction ends.
pub async fn hold_counter(tx: &mut Tx, key: &str) -> Result<i64> {
    set_once(tx, key, "0").await?;
    let value: String = on!(tx, conn => sqlx::query_scalar("UPDATE meta SET value = value WHERE key = $1 RETURNING value")
        .bind(key).fetch_one(conn).await)?;
    value.parse().map_err(|error| sqlx::Error::ColumnDecode { index: key.to_owned(), source: Box::new(error) })
}
