//! Who this machine is: hashes that say nothing about it to anybody else.

use std::{
    fs::{self, File},
    path::Path,
};

use anyhow::{Context as _, Result};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{durable, random::Random};

/// This application's own id: the same machine id gives other hashes elsewhere (machine-id(5) asks for that).
const APPLICATION: [u8; 16] = [0x5e, 0x1c, 0x0b, 0x2a, 0x77, 0x43, 0x4f, 0x1d, 0x9a, 0x6e, 0x30, 0xd4, 0x85, 0xc2, 0xfb, 0x19];

/// Names a boot of this machine: an app-specific hash of its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BootId(String);

impl BootId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[cfg(test)]
    pub fn for_test(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

/// Names this boot: the hash changes with each.
pub fn boot() -> Result<BootId> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("/proc/sys/kernel/random/boot_id cannot be read")?;
    Ok(BootId(hash(id.trim(), "boot")))
}

/// Hashes the machine id, app-specifically: the hash differs on a clone once its machine id was made anew.
///
/// A machine without a machine id gets one of the agent's own, in the state directory.
pub fn machine(state_dir: &Path, random: Random) -> Result<String> {
    for path in ["/etc/machine-id", "/var/lib/dbus/machine-id"] {
        // "uninitialized" stands there in images before their first boot.
        if let Ok(id) = fs::read_to_string(path)
            && id.trim().len() == 32
            && id.trim().bytes().all(|byte| byte.is_ascii_hexdigit())
        {
            return Ok(hash(id.trim(), "machine"));
        }
    }
    let own = state_dir.join("machine-id");
    // `run` and `pair` may make it at the same moment; each needs the same one.
    let folder = File::open(state_dir).with_context(|| format!("{} cannot be opened", state_dir.display()))?;
    folder.lock().with_context(|| format!("{} cannot be locked", state_dir.display()))?;
    let id = match durable::read(&own, 64).with_context(|| format!("{} cannot be read", own.display()))? {
        Some(id) if id.len() == 32 => String::from_utf8_lossy(&id).into_owned(),
        _ => {
            let id = HEXLOWER.encode(&random.bytes::<16>()?);
            durable::replace(&own, id.as_bytes(), 0o600).with_context(|| format!("{} cannot be written", own.display()))?;
            id
        }
    };
    Ok(hash(&id, "machine"))
}

/// Computes HMAC-SHA-256 keyed by the id, as `sd_id128_get_machine_app_specific` does it.
fn hash(id: &str, what: &str) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(id.replace('-', "").to_ascii_lowercase().as_bytes()).expect("HMAC takes any key");
    mac.update(&APPLICATION);
    mac.update(what.as_bytes());
    HEXLOWER.encode(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_stable_app_specific_and_tells_what_it_is_of() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(hash(id, "machine"), hash("01234567-89ab-cdef-0123-456789abcdef", "machine"));
        assert_ne!(hash(id, "machine"), hash(id, "boot"));
        assert_ne!(hash(id, "machine"), hash("1123456789abcdef0123456789abcdef", "machine"));
        assert_eq!(hash(id, "machine").len(), 64);
        assert_eq!(boot().unwrap(), boot().unwrap());
    }
}
