//! Roles that one instance holds at a time.

use super::db::{Result, Tx, execute, on};
use crate::domain::{Millis, ids::InstanceId};

/// Gains or keeps a role until `until`; whether this instance has it.
pub async fn hold(tx: &mut Tx, role: &str, holder: InstanceId, now: Millis, until: Millis) -> Result<bool> {
    let done = execute!(
        tx,
        sqlx::query(
            "INSERT INTO leases (role, holder, expires_at) VALUES ($1, $2, $4)
         ON CONFLICT (role) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
         WHERE leases.holder = excluded.holder OR leases.expires_at <= $3"
        )
        .bind(role)
        .bind(holder)
        .bind(now)
        .bind(until)
    )?;
    Ok(done == 1)
}

/// Gives who has a role: asked inside a transaction that acts on it. Its time may be over: while nobody took it, it is still
/// theirs.
pub async fn holder(tx: &mut Tx, role: &str) -> Result<Option<InstanceId>> {
    on!(tx, conn => sqlx::query_scalar("SELECT holder FROM leases WHERE role = $1").bind(role).fetch_optional(conn).await)
}

/// Gives everything up, so that another instance need not wait.
pub async fn release(tx: &mut Tx, holder: InstanceId) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM leases WHERE holder = $1").bind(holder))?;
    Ok(())
}

/// For the only process that uses this database, at its start.
pub async fn clear(tx: &mut Tx) -> Result<()> {
    execute!(tx, sqlx::query("DELETE FROM leases"))?;
    Ok(())
}
