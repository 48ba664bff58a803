//! The state directory: who may use it, who is using it, and what the agent remembers in it.
//!
//! | file | what | written by |
//! |---|---|---|
//! | `state.json` | the pairing: backend, server id, the agent's key, the pinned root key | `pair`, removed by `unpair` |
//! | `pending.json` | the key of a pairing whose answer has not been seen | `pair` |
//! | `keys.json` | the newest key set | `run` |
//! | `ledger.jsonl` | commands taken up and their outcomes | `run` |
//! | `spool-KEY/` | reports that the backend of this pairing has not taken yet; `KEY`: 16 characters of the agent's key id | `run` |
//! | `machine-id` | what is hashed where the host has no machine id | `pair`, `run` |
//! | `ledger.damaged` | a ledger that could not be read | `run` |
//! | `status.json` | how it goes, for `osm-agent status` | `run` |
//! | `lock`, `pair.lock` | held while `run` / `pair` or `unpair` work here; say whose process | |

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use osm_protocol::{
    envelope::Envelope,
    ids::KeyId,
    keyset::{KeySet, TrustedKeys},
};
use serde::{Serialize, de::DeserializeOwned};

use super::pairing::{Pairing, Pending};
use crate::{
    crash,
    host::{
        durable,
        lock::{Lock, LockError},
    },
};

const SPOOL: &str = "spool-";

pub const DEFAULT_DIR: &str = "/var/lib/osm-agent";
/// No file here but the ledger and the spool comes near this.
const FILE_MAX: u64 = 256 * 1024;

/// A state directory that was found to be ours alone.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
}

fn spool_name(key: KeyId) -> String {
    format!("{SPOOL}{key:.16}")
}

/// Tells one pairing's file from another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    inode: u64,
    modified: (i64, i64),
}

impl StateDir {
    /// Opens a state directory; one that others could read, write or replace is refused.
    pub fn open(path: &Path) -> Result<Self> {
        let metadata = fs::symlink_metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => anyhow!(
                "the state directory {0} does not exist. Pairing makes it; or: install -d -m 0700 {0}, or name another one with \
                 --state-dir",
                path.display()
            ),
            _ => anyhow!("the state directory {} cannot be looked at: {error}", path.display()),
        })?;
        check(path, &metadata, rustix::process::geteuid().as_raw())?;
        Ok(Self { path: path.to_owned() })
    }

    /// Opens a state directory, and makes it first where there is none.
    pub fn open_or_make(path: &Path) -> Result<Self> {
        if !path.exists() {
            DirBuilder::new()
                .mode(0o700)
                .create(path)
                .with_context(|| format!("the state directory {} cannot be made; make its parent first", path.display()))?;
        }
        Self::open(path)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Takes a lock for a command of the agent, which is held as long as what it gives lives.
    pub fn lock(&self, name: &str, command: &str) -> Result<Lock> {
        Lock::take(&self.file(name), command).map_err(|error| match error {
            LockError::Held(holder) => {
                let fix = if command == "run" { "stop it first (systemctl stop osm-agent)" } else { "wait until it has ended" };
                anyhow!("{holder} is using {}; {fix}", self.path.display())
            }
            LockError::Unusable(error) => anyhow!("{} cannot be locked: {error}", self.file(name).display()),
        })
    }

    pub fn pairing(&self) -> Result<Option<Pairing>> {
        self.read("state.json")
    }

    pub fn store_pairing(&self, pairing: &Pairing) -> Result<()> {
        self.write("state.json", pairing)?;
        crash::point("pair.stored");
        Ok(())
    }

    pub fn pending(&self) -> Result<Option<Pending>> {
        self.read("pending.json")
    }

    pub fn store_pending(&self, pending: &Pending) -> Result<()> {
        crash::point("pair.key_made");
        self.write("pending.json", pending)?;
        crash::point("pair.key_persisted");
        Ok(())
    }

    pub fn remove_pending(&self) -> Result<()> {
        self.remove("pending.json")
    }

    /// Reads the keys whose commands are believed: of the pairing's set and the stored one the newer, each opened under the
    /// pinned root key.
    pub fn trusted_keys(&self, pairing: &Pairing) -> Result<TrustedKeys> {
        let root = pairing.root()?;
        let paired = KeySet::open(&pairing.key_set, &root, i64::MIN)
            .context("the key set of the pairing on disk is damaged; pair this server again")?;
        let stored = match self.read::<Envelope>("keys.json") {
            Ok(Some(envelope)) => KeySet::open(&envelope, &root, paired.version).ok(),
            Ok(None) => None,
            Err(error) => {
                log::warn!("{error:#}; using the key set of the pairing");
                None
            }
        };
        Ok(stored.unwrap_or(paired))
    }

    pub fn store_key_set(&self, envelope: &Envelope) -> Result<()> {
        crash::point("keys.verified");
        self.write("keys.json", envelope)?;
        crash::point("keys.stored");
        Ok(())
    }

    /// Forgets the pairing and everything that belonged to it. The ledger stays: it is the memory of the rates.
    pub fn forget(&self) -> Result<()> {
        for name in ["state.json", "pending.json", "keys.json", "status.json"] {
            self.remove(name)?;
        }
        self.remove_spools(None).context("the spool cannot be removed")
    }

    /// Names the folder in which the reports of the pairing with this key wait.
    pub fn spool(&self, key: KeyId) -> PathBuf {
        self.file(&spool_name(key))
    }

    /// Removes what waits for other pairings than that with the key `kept`.
    pub fn remove_spools(&self, kept: Option<KeyId>) -> io::Result<()> {
        let kept = kept.map(spool_name);
        for entry in fs::read_dir(self.path())? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().filter(|name| name.starts_with(SPOOL)) else { continue };
            if Some(name) != kept.as_deref() {
                match fs::remove_dir_all(self.file(name)) {
                    // `run` may be writing its last report there; it goes with the next session.
                    Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {}
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Takes a mark that changes whenever the pairing does: a new file has a new inode.
    pub fn pairing_mark(&self) -> Option<Mark> {
        let metadata = fs::metadata(self.file("state.json")).ok()?;
        Some(Mark { inode: metadata.ino(), modified: (metadata.mtime(), metadata.mtime_nsec()) })
    }

    /// Reads a file of this directory.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.file(name);
        let bytes = durable::read(&path, FILE_MAX).with_context(|| format!("{} cannot be read", path.display()))?;
        bytes
            .map(|bytes| serde_json::from_slice(&bytes))
            .transpose()
            .with_context(|| format!("{} is damaged; pair this server again (osm-agent pair)", path.display()))
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<()> {
        let path = self.file(name);
        durable::replace(&path, &serde_json::to_vec(value)?, 0o600)
            .with_context(|| format!("{} cannot be written", path.display()))
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.file(name);
        durable::remove(&path).with_context(|| format!("{} cannot be removed", path.display()))
    }
}

fn check(path: &Path, metadata: &fs::Metadata, us: u32) -> Result<()> {
    if !metadata.is_dir() {
        bail!(
            "the state directory {} is not a directory (a symbolic link is not taken either); name another one with --state-dir",
            path.display()
        );
    }
    if metadata.uid() != us {
        let fix = if path == Path::new(DEFAULT_DIR) {
            "Run it with sudo".to_owned()
        } else {
            format!("Run it as its owner, or: chown -R {us} {}", path.display())
        };
        bail!("the state directory {} belongs to user id {}, and this runs as {us}. {fix}", path.display(), metadata.uid());
    }
    if metadata.mode() & 0o777 != 0o700 {
        bail!(
            "the state directory {0} has mode {1:03o}: others could get at the key. Do: chmod 0700 {0}",
            path.display(),
            metadata.mode() & 0o777
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::pairing::SecretKey;
    use ed25519_dalek::SigningKey;
    use osm_protocol::key::PublicKey;
    use std::os::unix::fs::PermissionsExt as _;

    fn folder(mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        folder
    }

    #[test]
    fn a_directory_others_could_use_is_refused_with_the_fix() {
        let open = folder(0o750);
        let error = StateDir::open(open.path()).unwrap_err().to_string();
        assert!(error.contains("chmod 0700"), "{error}");
        let ours = folder(0o700);
        let error = check(ours.path(), &fs::metadata(ours.path()).unwrap(), 4242).unwrap_err().to_string();
        assert!(error.contains("chown -R 4242"), "{error}");
        let link = ours.path().join("link");
        std::os::unix::fs::symlink(ours.path(), &link).unwrap();
        assert!(StateDir::open(&link).unwrap_err().to_string().contains("symbolic link"));
        assert!(StateDir::open(Path::new("/nonexistent/x")).unwrap_err().to_string().contains("--state-dir"));
    }

    #[test]
    fn pairing_makes_a_private_directory_and_only_one_run_uses_it() {
        let parent = folder(0o700);
        let path = parent.path().join("state");
        let dir = StateDir::open_or_make(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        let held = dir.lock("lock", "run").unwrap();
        let refused = dir.lock("lock", "run").unwrap_err().to_string();
        assert!(refused.contains(&format!("another `osm-agent run` (process {}) is using", std::process::id())), "{refused}");
        drop(held);
        dir.lock("lock", "run").unwrap();
    }

    #[test]
    fn a_key_set_of_another_root_or_an_older_one_is_not_taken_up() {
        let parent = folder(0o700);
        let dir = StateDir::open(parent.path()).unwrap();
        let root = SigningKey::from_bytes(&[1; 32]);
        let set = |version, root: &SigningKey, command: u8| {
            KeySet {
                version,
                root_key: PublicKey::from(root).to_string(),
                command_keys: vec![PublicKey::from(&SigningKey::from_bytes(&[command; 32])).to_string()],
            }
            .sign(root)
        };
        let pairing = Pairing {
            api: "https://osm.example".to_owned(),
            server_id: "0190a6b0-7c00-7000-8000-00000000aaaa".parse().unwrap(),
            name: "web".to_owned(),
            key: SecretKey::from(&SigningKey::from_bytes(&[2; 32])),
            root_key: PublicKey::from(&root).to_string(),
            key_set: set(5, &root, 3),
            machine: "m".to_owned(),
            token_hash: "t".to_owned(),
        };
        for (stored, version) in [(set(4, &root, 4), 5), (set(9, &SigningKey::from_bytes(&[8; 32]), 4), 5), (set(6, &root, 4), 6)]
        {
            dir.store_key_set(&stored).unwrap();
            assert_eq!(dir.trusted_keys(&pairing).unwrap().version, version);
        }
        fs::write(dir.file("keys.json"), "{").unwrap();
        assert_eq!(dir.trusted_keys(&pairing).unwrap().version, 5);
    }
}
