//! The backend's own secrets, in the state directory: made once, 0600, read at start.
//!
//! | file | what |
//! |---|---|
//! | `keys/root.pem` | signs key sets; may be taken away (kept offline) once `keyset.json` is there |
//! | `keys/command.pem` | signs commands and pairings |
//! | `keys/pairing.key` | from which pairing tokens are derived, so that no token is stored |
//! | `keys/webhook.secret` | what Telegram sends with each update |
//! | `keyset.json` | the key set that agents hold, signed by the root key |

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
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
    keyset::{KeySet, TrustedKeys},
    pairing_token::PairingToken,
};
use sha2::Sha256;

use crate::{
    config::Secret,
    domain::{Millis, ids::PairingId},
};

pub struct Keys {
    command: SigningKey,
    pairing: [u8; 32],
    /// The signed key set, as agents get it.
    pub key_set: Envelope,
    pub trusted: TrustedKeys,
    pub webhook_secret: Secret,
}

impl Keys {
    /// Reads the keys, making those that are not there yet.
    pub fn load(state_dir: &Path, webhook_secret: Option<Secret>, now: Millis) -> anyhow::Result<Self> {
        let dir = Dir::open(state_dir)?;
        let command = dir.signing_key("command.pem")?;
        let key_set_file = state_dir.join("keyset.json");
        if !key_set_file.exists() {
            let root = dir.signing_key("root.pem")?;
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

    /// The key set as it is; makes nothing.
    pub fn show(state_dir: &Path) -> anyhow::Result<TrustedKeys> {
        let file = state_dir.join("keyset.json");
        ensure!(file.exists(), "{} is not there: is this the state directory of a backend that has run?", file.display());
        Ok(read_key_set(&file)?.1)
    }

    /// Replaces the command key. The old one stays trusted until the next rotation, so that commands on their way still hold.
    pub fn rotate(state_dir: &Path, now: Millis) -> anyhow::Result<TrustedKeys> {
        let dir = Dir::open(state_dir)?;
        let root = dir.existing_signing_key("root.pem")?.context("keys/root.pem is not here: bring it back to rotate")?;
        let key_set_file = state_dir.join("keyset.json");
        let held = read_key_set(&key_set_file)?.1;
        ensure!(held.root == PublicKey::from(&root), "keys/root.pem is not the key that signed keyset.json");
        let old = dir.signing_key("command.pem")?;
        let new = new_signing_key()?;
        // The set first: a crash in between leaves a set that also trusts a key nobody has used.
        sign_key_set(&key_set_file, &root, &[&new, &old], held.version, now)?;
        dir.write("command.pem", pem(&new)?.as_bytes())?;
        Ok(read_key_set(&key_set_file)?.1)
    }

    pub fn sign<T: serde::Serialize>(&self, payload_type: &str, document: &T) -> Envelope {
        Envelope::sign_json(payload_type, document, &self.command)
    }

    /// The token of a pairing, derived from its id: HMAC-SHA256 under a key that is not in the database, so that the database
    /// holds no token and the message can still be rendered again.
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
    write_durably(file, serde_json::to_string(&set.sign(root))?.as_bytes())
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

/// The folder of the secret files.
struct Dir(PathBuf);

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
        Ok(Self(path))
    }

    fn existing_signing_key(&self, name: &str) -> anyhow::Result<Option<SigningKey>> {
        let path = self.0.join(name);
        match fs::read_to_string(&path) {
            Ok(pem) => match SigningKey::from_pkcs8_pem(&pem) {
                Ok(key) => Ok(Some(key)),
                // The cause is left out: it could quote the key.
                Err(_) => bail!("{}: not an Ed25519 key in PKCS#8 PEM; restore it from a backup", path.display()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| path.display().to_string()),
        }
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
        write_durably(&self.0.join(name), contents)
    }
}

/// Temp file, fsync, rename, fsync of the folder: the file is whole or as it was.
fn write_durably(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let temporary = path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}
