//! One `osm-api serve` a state directory: two would clear each other's leases on SQLite.

use std::{
    fs::{self, File, TryLockError},
    path::Path,
};

use anyhow::{Context, bail};

use crate::state::durable;

/// Names the process that serves from the state directory.
const PID: &str = "serve.pid";

/// Held for as long as this process serves. The kernel lets go of it however the process ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Lock {
    /// Takes the state directory for this process. The lock is on the directory itself (flock(2)), where nothing can be planted
    /// in its place.
    pub fn take(state_dir: &Path) -> anyhow::Result<Self> {
        let shown = state_dir.display();
        let dir = File::open(state_dir).with_context(|| shown.to_string())?;
        match dir.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let other = fs::read_to_string(state_dir.join(PID)).ok().and_then(|pid| pid.trim().parse::<u32>().ok());
                let other = other.map_or_else(|| "another process".to_owned(), |pid| format!("the process {pid}"));
                bail!("{shown}: {other} serves from this state directory already; stop it, or set another OSM_STATE_DIR");
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {shown}")),
        }
        let pid = format!("{}\n", std::process::id());
        durable::replace(&state_dir.join(PID), pid.as_bytes()).with_context(|| format!("cannot write {shown}/{PID}"))?;
        Ok(Self(dir))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_one_is_told_who_has_it_until_the_first_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let refused = Lock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("the process {} serves", std::process::id())), "{refused}");
        drop(first);
        Lock::take(dir.path()).unwrap();
    }
}
