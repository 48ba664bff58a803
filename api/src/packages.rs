//! The packages that this backend offers: a folder with signed repositories, as `make packages` leaves it, and the script that
//! installs from them. The key that signed them is never here; its public half and its fingerprint are.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, ensure};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::domain::{Millis, packages::Validity, pairing::Offer};

/// In the first line of an armored one (RFC 9580, section 6.2).
const SECRET: &[u8] = b"PRIVATE KEY BLOCK";
const RELEASE: &str = "apt/dists/stable/Release";
const SCRIPT: &str = include_str!("../dist/install.sh");

pub struct Packages {
    /// Canonical: what resolves to a place outside is not served.
    root: PathBuf,
    pub script: String,
    pub offer: Offer,
}

impl Packages {
    pub fn open(dir: &Path, public_url: &str, host: &str) -> Result<Self> {
        let wrong = |name: &str| format!("OSM_PACKAGES_DIR: {}: is it what `make packages` has made?", dir.join(name).display());
        let root = dir.canonicalize().with_context(|| wrong(""))?;
        let key = std::fs::read(root.join("key.asc")).with_context(|| wrong("key.asc"))?;
        let is_secret = key.windows(SECRET.len()).any(|window| window == SECRET);
        ensure!(!is_secret, "{} It holds the secret key: whoever has this backend could sign packages", wrong("key.asc"));
        let fingerprint = std::fs::read_to_string(root.join("fingerprint")).with_context(|| wrong("fingerprint"))?;
        let fingerprint = fingerprint.trim().to_owned();
        let hexadecimal = fingerprint.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte));
        ensure!(fingerprint.len() == 40 && hexadecimal, "{} (40 capital hexadecimal digits are wanted)", wrong("fingerprint"));
        let script = SCRIPT.replace("@API@", public_url).replace("@HOST@", host).replace("@KEY_SHA256@", &sha256(&key));
        let offer = Offer { fingerprint, script_sha256: sha256(script.as_bytes()) };
        Ok(Self { root, script, offer })
    }

    /// Gives for how long package managers take what is there now: what apt's signed list says. That of dnf is signed with it.
    pub async fn validity(&self) -> Result<Validity> {
        let path = self.root.join(RELEASE);
        let wrong = || format!("OSM_PACKAGES_DIR: {}: is it what `make packages` has made?", path.display());
        let release = tokio::fs::read_to_string(&path).await.with_context(wrong)?;
        let time = |name: &str| time_in(&release, name).with_context(|| format!("no {name} in it")).with_context(wrong);
        Ok(Validity { from: time("Date")?, until: time("Valid-Until")? })
    }

    /// Gives the regular file by this path; `None` for anything else, and for what a link leads to outside the folder.
    pub async fn file(&self, path: &str) -> Option<PathBuf> {
        let plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        let found = if plain { tokio::fs::canonicalize(self.root.join(path)).await.ok()? } else { return None };
        (found.starts_with(&self.root) && tokio::fs::metadata(&found).await.ok()?.is_file()).then_some(found)
    }
}

/// A field of a Release file: a date as in mail (deb-repository's format), in UTC by one name or the other.
fn time_in(release: &str, name: &str) -> Option<Millis> {
    let value = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))?;
    let time = jiff::fmt::rfc2822::parse(&value.replace("UTC", "+0000")).ok()?;
    Some(time.timestamp().as_millisecond())
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("key.asc"), "key").unwrap();
        fs::write(dir.path().join("fingerprint"), format!("{}\n", "AB".repeat(20))).unwrap();
        dir
    }

    fn open(dir: &Path) -> Result<Packages> {
        Packages::open(dir, "https://osm.example.com:8443", "osm.example.com")
    }

    #[tokio::test]
    async fn only_files_in_the_folder_are_found() {
        let (dir, outside) = (folder(), tempfile::NamedTempFile::new().unwrap());
        fs::create_dir_all(dir.path().join("apt/pool")).unwrap();
        fs::write(dir.path().join("apt/pool/a.deb"), "deb").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("a.deb", dir.path().join("apt/pool/newest.deb")).unwrap();
        let packages = open(dir.path()).unwrap();
        for path in ["key.asc", "apt/pool/a.deb", "apt/pool/newest.deb"] {
            assert!(packages.file(path).await.is_some(), "{path}");
        }
        let absolute = outside.path().to_str().unwrap();
        for path in [
            "",
            ".",
            "..",
            "apt",
            "apt/pool/../../key.asc",
            "../key.asc",
            "out",
            "etc/passwd",
            "no",
            "a\0b",
            "/etc/passwd",
            absolute,
        ] {
            assert_eq!(packages.file(path).await, None, "{path:?}");
        }
    }

    #[tokio::test]
    async fn the_end_of_the_repositories_is_read_from_what_is_there() {
        let dir = folder();
        let packages = open(dir.path()).unwrap();
        let error = format!("{:#}", packages.validity().await.unwrap_err());
        assert!(error.contains(RELEASE) && error.contains("make packages"), "{error}");
        fs::create_dir_all(dir.path().join(RELEASE).parent().unwrap()).unwrap();
        for zone in ["UTC", "+0000"] {
            let release =
                format!("Date: Fri, 15 Jan 2027 08:00:00 {zone}\nValid-Until: Sat, 16 Jan 2027 08:00:00 {zone}\nSHA256:\n");
            fs::write(dir.path().join(RELEASE), &release).unwrap();
            let validity = packages.validity().await.unwrap();
            assert_eq!(validity, Validity { from: 1_800_000_000_000, until: 1_800_086_400_000 });
        }
        fs::write(dir.path().join(RELEASE), "Date: Fri, 15 Jan 2027 08:00:00 UTC\n").unwrap();
        let error = format!("{:#}", packages.validity().await.unwrap_err());
        assert!(error.contains("no Valid-Until in it"), "{error}");
    }

    #[test]
    fn the_script_is_made_for_this_backend_and_key() {
        let packages = open(folder().path()).unwrap();
        assert!(packages.script.contains("api='https://osm.example.com:8443'\nhost='osm.example.com'\n"));
        // sha256sum of the three bytes "key".
        assert!(packages.script.contains("2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683"));
        assert!(!packages.script.contains("@API@") && !packages.script.contains("@HOST@"));
        assert_eq!(packages.offer.script_sha256, sha256(packages.script.as_bytes()));
    }

    #[test]
    fn the_key_that_signs_packages_is_refused() {
        let dir = folder();
        fs::write(dir.path().join("key.asc"), "-----BEGIN PGP PRIVATE KEY BLOCK-----\n").unwrap();
        let error = format!("{:#}", open(dir.path()).err().unwrap());
        assert!(error.contains("key.asc") && error.contains("secret key"), "{error}");
    }

    #[test]
    fn a_folder_that_is_something_else_is_named() {
        let dir = folder();
        fs::write(dir.path().join("fingerprint"), "nonsense").unwrap();
        for path in [dir.path(), Path::new("/nonexistent")] {
            let error = format!("{:#}", open(path).err().unwrap());
            assert!(error.contains("OSM_PACKAGES_DIR") && error.contains("make packages"), "{error}");
        }
    }
}
