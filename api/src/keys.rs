//! The backend's own secrets, in the state directory: made once, 0600, read at start.
//!
//! | file | what |
//! |---|---|
//! | `keys/root.pem` | signs key sets; to be kept elsewhere once `keyset.json` is there (`osm-api keys detach`) |
//! | `keys/command.pem` | signs commands and pairings |
//! | `keys/pairing.key` | from which pairing tokens are derived, so that no token is stored |
//! | `keys/webhook.secret` | what Telegram sends with each update |
//! | `keyset.json` | the key set that agents hold, signed by the root key |

use std::{
    fs::{self, DirBuilder, File},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use data_encoding::BASE64URL_NOPAD;
use ed25519_dalek::{
    SigningKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use hmac::{Hmac, KeyInit, Mac};
use osm_protocol::{
    envelope::Envelope,
    key::PublicKey,
    keyset::{KeySet, Removed, TrustedKeys},
    messages::Removal,
    pairing_token::PairingToken,
};
use sha2::Sha256;

use crate::{
    config::Secret,
    domain::{Millis, ids::PairingId},
    state::durable,
};

pub struct Keys {
    command: SigningKey,
    pairing: [u8; 32],
    /// The signed key set, as agents get it.
    pub key_set: Envelope,
    pub trusted: TrustedKeys,
    pub webhook_secret: Secret,
}

const ROOT: &str = "root.pem";

/// How a command key is replaced.
pub struct Rotation<'a> {
    pub old: Old,
    /// Where the root key is; otherwise in the state directory.
    pub root: Option<&'a Path>,
}

/// What becomes of the key that is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Old {
    /// It stays trusted until the next rotation, so that commands on their way still hold.
    Trusted,
    /// It may be stolen: whoever takes up the new key set believes it no more.
    Revoked,
}

impl Keys {
    /// Reads the keys, making those that are not there yet.
    pub fn load(state_dir: &Path, webhook_secret: Option<Secret>, now: Millis) -> anyhow::Result<Self> {
        let dir = Dir::open(state_dir)?;
        let command = dir.signing_key("command.pem")?;
        let key_set_file = state_dir.join("keyset.json");
        if !key_set_file.exists() {
            let root = dir.signing_key(ROOT)?;
            sign_key_set(&key_set_file, &root, &[&command], 0, now)?;
        }
        let (key_set, trusted) = read_key_set(&key_set_file)?;
        ensure!(
            trusted.command_keys.contains(&PublicKey::from(&command)),
            "keys/command.pem is not in keyset.json: run `osm-api keys rotate` where root.pem is"
        );
        let pairing = dir.bytes("pairing.key")?;
        let webhook_secret = match webhook_secret {
            Some(secret) => secret,
            None => Secret::new(BASE64URL_NOPAD.encode(&dir.bytes("webhook.secret")?)),
        };
        Ok(Self { command, pairing, key_set, trusted, webhook_secret })
    }

    /// Proves to the holder of this key that their server was removed.
    pub fn removal(&self, agent_key: &PublicKey, now: Millis) -> Removal {
        let removed = Removed { agent_key: agent_key.to_string(), at: now };
        Removal { key_set: self.key_set.clone(), removed: removed.sign(&self.command) }
    }

    /// Gives the key set as it is; makes nothing.
    pub fn show(state_dir: &Path) -> anyhow::Result<TrustedKeys> {
        let file = state_dir.join("keyset.json");
        ensure!(file.exists(), "{} is not there: is this the state directory of a backend that has run?", file.display());
        Ok(read_key_set(&file)?.1)
    }

    /// Replaces the command key.
    pub fn rotate(state_dir: &Path, rotation: &Rotation<'_>, now: Millis) -> anyhow::Result<TrustedKeys> {
        let dir = Dir::open(state_dir)?;
        let root = match rotation.root {
            Some(file) => read_signing_key(file)?.with_context(|| format!("{}: no such file", file.display()))?,
            None => dir.existing_signing_key(ROOT)?.context("keys/root.pem is not here: name where it is by --root-key FILE")?,
        };
        let key_set_file = state_dir.join("keyset.json");
        let held = read_key_set(&key_set_file)?.1;
        ensure!(held.root == PublicKey::from(&root), "this root key is not the one that signed keyset.json");
        let old = dir.signing_key("command.pem")?;
        let new = new_signing_key()?;
        match rotation.old {
            // The set first: a crash in between leaves a set that also trusts a key nobody has used.
            Old::Trusted => {
                sign_key_set(&key_set_file, &root, &[&new, &old], held.version, now)?;
                dir.write("command.pem", pem(&new)?.as_bytes())?;
            }
            // The key first: after a crash in between whatever rotation follows leaves the old one out.
            Old::Revoked => {
                dir.write("command.pem", pem(&new)?.as_bytes())?;
                sign_key_set(&key_set_file, &root, &[&new], held.version, now)?;
            }
        }
        Ok(read_key_set(&key_set_file)?.1)
    }

    /// Moves the root key out of the state directory into a file that is not there yet; it is removed only when it is safe there.
    pub fn detach(state_dir: &Path, file: &Path) -> anyhow::Result<PublicKey> {
        let dir = Dir::open(state_dir)?;
        let root = dir.existing_signing_key(ROOT)?.context("keys/root.pem is not here: it was detached before")?;
        let held = read_key_set(&state_dir.join("keyset.json")).context("the backend cannot start without both")?.1;
        ensure!(held.root == PublicKey::from(&root), "keys/root.pem is not the key that signed keyset.json");
        let shown = file.display();
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().with_context(|| folder.display().to_string())?;
        ensure!(
            !folder.starts_with(state_dir.canonicalize()?),
            "{shown} is in the state directory itself; name a file elsewhere"
        );
        durable::create(file, pem(&root)?.as_bytes()).map_err(|error| match error.kind() {
            std::io::ErrorKind::AlreadyExists => anyhow::anyhow!("{shown} is there already; name a file that is not"),
            _ => anyhow::anyhow!("cannot write {shown}: {error}"),
        })?;
        ensure!(read_signing_key(file)?.is_some_and(|key| key == root), "{shown} does not read as what was written");
        durable::remove(&dir.0.join(ROOT)).context("cannot remove keys/root.pem")?;
        Ok(held.root)
    }

    /// Tells whether the root key lies where a thief of the backend finds it.
    pub fn has_root_key(state_dir: &Path) -> bool {
        state_dir.join("keys").join(ROOT).exists()
    }

    pub fn sign<T: serde::Serialize>(&self, payload_type: &str, document: &T) -> Envelope {
        Envelope::sign_json(payload_type, document, &self.command)
    }

    /// Gives the token of a pairing, derived from its id: HMAC-SHA256 under a key that is not in the database, so that the
    /// database holds no token and the message can still be rendered again.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    pub fn pairing_token(&self, pairing_id: PairingId) -> PairingToken {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.pairing).expect("HMAC takes keys of any length");
        mac.update(b"osm pairing token v1\0");
        mac.update(pairing_id.to_string().as_bytes());
        let tag = mac.finalize().into_bytes();
        PairingToken::new(tag[..16].try_into().expect("SHA-256 has 32 bytes"), &self.trusted.root)
    }
}

fn sign_key_set(file: &Path, root: &SigningKey, command_keys: &[&SigningKey], held: i64, now: Millis) -> anyhow::Result<()> {
    let set = KeySet {
        version: (held + 1).max(now / 1000),
        root_key: PublicKey::from(root).to_string(),
        command_keys: command_keys.iter().map(|&key| PublicKey::from(key).to_string()).collect(),
    };
    write(file, serde_json::to_string(&set.sign(root))?.as_bytes())
}

fn read_key_set(file: &Path) -> anyhow::Result<(Envelope, TrustedKeys)> {
    let context = || format!("{}: not the key set that osm-api wrote; restore it from a backup", file.display());
    let envelope = Envelope::from_slice(&fs::read(file).with_context(context)?).with_context(context)?;
    let root = KeySet::claimed_root(&envelope).with_context(context)?;
    let trusted = KeySet::open(&envelope, &root, 0).with_context(context)?;
    Ok((envelope, trusted))
}

fn new_signing_key() -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_bytes(&random()?))
}

fn pem(key: &SigningKey) -> anyhow::Result<impl std::ops::Deref<Target = String>> {
    key.to_pkcs8_pem(LineEnding::LF).context("writing a key as PKCS#8")
}

/// Gives 256 bits from the operating system.
#[expect(clippy::disallowed_methods, reason = "this is the owner of randomness")]
pub fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness from the operating system: {error}"))?;
    Ok(bytes)
}

fn read_signing_key(path: &Path) -> anyhow::Result<Option<SigningKey>> {
    match fs::read_to_string(path) {
        Ok(pem) => match SigningKey::from_pkcs8_pem(&pem) {
            Ok(key) => Ok(Some(key)),
            // The cause is left out: it could quote the key.
            Err(_) => bail!("{}: not an Ed25519 key in PKCS#8 PEM; restore it from a backup", path.display()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn write(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    durable::replace(path, contents).with_context(|| format!("cannot write {}", path.display()))
}

/// The folder of the secret files. Whoever has opened it works there alone: a backend that starts, a rotation and a detachment
/// take turns, by a lock on the folder itself (flock(2)).
struct Dir(PathBuf, #[expect(dead_code, reason = "held, not read")] File);

impl Dir {
    fn open(state_dir: &Path) -> anyhow::Result<Self> {
        let path = state_dir.join("keys");
        DirBuilder::new().recursive(true).mode(0o700).create(&path).with_context(|| {
            format!("cannot make {}: create the state directory for this user, or set OSM_STATE_DIR", path.display())
        })?;
        // As root `rotate` would leave keys that the service cannot read.
        let (owner, us) = (fs::metadata(state_dir)?.uid(), fs::metadata("/proc/self")?.uid());
        ensure!(
            owner == us,
            "{} belongs to user id {owner}, and this runs as {us}; run it as its owner: sudo -u '#{owner}' osm-api …",
            state_dir.display()
        );
        let mode = fs::metadata(&path)?.mode() & 0o777;
        let others = mode & 0o077;
        ensure!(others == 0, "{}: others can look into it (mode {mode:o}); run `chmod 700` on it", path.display());
        let folder = File::open(&path).with_context(|| path.display().to_string())?;
        folder.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Self(path, folder))
    }

    fn existing_signing_key(&self, name: &str) -> anyhow::Result<Option<SigningKey>> {
        read_signing_key(&self.0.join(name))
    }

    fn signing_key(&self, name: &str) -> anyhow::Result<SigningKey> {
        if let Some(key) = self.existing_signing_key(name)? {
            return Ok(key);
        }
        let key = new_signing_key()?;
        self.write(name, pem(&key)?.as_bytes())?;
        Ok(key)
    }

    /// 32 random bytes, made once.
    fn bytes(&self, name: &str) -> anyhow::Result<[u8; 32]> {
        let path = self.0.join(name);
        if !path.exists() {
            self.write(name, &random()?)?;
        }
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        bytes.try_into().map_err(|_| anyhow::anyhow!("{}: not 32 bytes; restore it from a backup", path.display()))
    }

    fn write(&self, name: &str, contents: &[u8]) -> anyhow::Result<()> {
        write(&self.0.join(name), contents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A state directory with fresh keys.
    fn state() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        Keys::load(dir.path(), None, 1_000).unwrap();
        dir
    }

    fn trusted(state: &Path) -> Vec<PublicKey> {
        Keys::show(state).unwrap().command_keys
    }

    const KEEP: Rotation<'static> = Rotation { old: Old::Trusted, root: None };
    const REVOKE: Rotation<'static> = Rotation { old: Old::Revoked, root: None };

    #[test]
    fn eight_rotations_at_once_take_turns() {
        let state = state();
        let before = Keys::show(state.path()).unwrap().version;
        let rotate = || Keys::rotate(state.path(), &KEEP, 0).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(rotate);
            }
        });
        assert_eq!(Keys::show(state.path()).unwrap().version, before + 8);
        Keys::load(state.path(), None, 0).unwrap();
    }

    // Finding 3: a rotation left the stolen key trusted until the next one.
    #[test]
    fn a_revoked_key_is_out_of_the_key_set_at_once() {
        let state = state();
        let stolen = trusted(state.path())[0];
        assert!(Keys::rotate(state.path(), &KEEP, 2_000).unwrap().command_keys.contains(&stolen));
        let after = Keys::rotate(state.path(), &REVOKE, 3_000).unwrap();
        assert_eq!(after.command_keys.len(), 1);
        assert!(!after.command_keys.contains(&stolen));
        Keys::load(state.path(), None, 4_000).unwrap();
    }

    #[test]
    fn after_a_crash_amid_a_revocation_no_rotation_brings_the_old_key_back() {
        let state = state();
        let stolen = trusted(state.path())[0];
        let set = fs::read(state.path().join("keyset.json")).unwrap();
        Keys::rotate(state.path(), &REVOKE, 2_000).unwrap();
        // As if the set had not been written any more.
        fs::write(state.path().join("keyset.json"), set).unwrap();
        let refused = Keys::load(state.path(), None, 3_000).err().unwrap().to_string();
        assert!(refused.contains("osm-api keys rotate"), "{refused}");
        assert!(!Keys::rotate(state.path(), &KEEP, 4_000).unwrap().command_keys.contains(&stolen));
    }

    #[test]
    fn the_root_key_is_detached_into_a_new_file_and_rotates_from_there() {
        let (state, elsewhere) = (state(), tempfile::tempdir().unwrap());
        let file = elsewhere.path().join("root.pem");
        let held = fs::read(state.path().join("keys/root.pem")).unwrap();

        let inside = Keys::detach(state.path(), &state.path().join("other.pem")).unwrap_err().to_string();
        assert!(inside.contains("in the state directory itself"), "{inside}");
        fs::write(&file, "mine").unwrap();
        let taken = Keys::detach(state.path(), &file).unwrap_err().to_string();
        assert!(taken.contains("is there already"), "{taken}");
        assert_eq!(fs::read(&file).unwrap(), b"mine");
        assert!(Keys::has_root_key(state.path()), "nothing was moved");

        fs::remove_file(&file).unwrap();
        Keys::detach(state.path(), &file).unwrap();
        assert_eq!((fs::read(&file).unwrap(), fs::metadata(&file).unwrap().mode() & 0o777), (held, 0o600));
        assert!(!Keys::has_root_key(state.path()));
        Keys::load(state.path(), None, 2_000).unwrap();

        let refused = Keys::rotate(state.path(), &KEEP, 3_000).unwrap_err().to_string();
        assert!(refused.contains("--root-key"), "{refused}");
        let rotation = Rotation { root: Some(&file), ..KEEP };
        assert_eq!(Keys::rotate(state.path(), &rotation, 3_000).unwrap().command_keys.len(), 2);
        assert!(!Keys::has_root_key(state.path()), "it is read where it is, and not brought back");
        Keys::rotate(state.path(), &Rotation { root: Some(&elsewhere.path().join("none")), ..KEEP }, 4_000).unwrap_err();
    }
}
