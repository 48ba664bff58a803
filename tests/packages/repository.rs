//! The packages in signed repositories of a test's own, which it may spoil.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use osm_tests::{until::found_in_time, world::SOON};
use tempfile::TempDir;

use crate::site::packages;

const OWN: &str = "own@osm.example.com";
/// In seconds.
pub const A_YEAR: u32 = 365 * 24 * 60 * 60;

pub struct Repository {
    folder: TempDir,
}

impl Repository {
    /// A copy of what `make packages` has made.
    pub fn as_built() -> Result<Self> {
        let repository = Self { folder: tempfile::tempdir()? };
        copy(&packages()?.join("repository"), &repository.path())?;
        Ok(repository)
    }

    /// As `make packages` makes it where `OSM_SIGNING_KEY` names a key of one's own: here one for Ed25519, where the key that is
    /// made without it is for RSA.
    pub fn signed_by_a_key_of_its_own() -> Result<Self> {
        Self::with(|_| Ok(()))
    }

    /// The same, with packages besides that `add` puts into the folder.
    pub fn with(add: impl FnOnce(&Path) -> Result<()>) -> Result<Self> {
        let repository = Self { folder: tempfile::tempdir()? };
        let folder = repository.folder.path();
        fs::DirBuilder::new().mode(0o700).create(folder.join("gnupg"))?;
        repository.run(Command::new("gpg").args(["--batch", "--quiet", "--passphrase", ""]).args([
            "--quick-generate-key",
            OWN,
            "ed25519",
            "sign",
            "never",
        ]))?;
        fs::create_dir(folder.join("repository"))?;
        fs::create_dir(folder.join("packages"))?;
        for entry in fs::read_dir(packages()?)?.flatten().filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), folder.join("packages").join(entry.file_name()))?;
        }
        add(&folder.join("packages"))?;
        repository.sign(A_YEAR)?;
        Ok(repository)
    }

    /// Makes it anew with the same key and packages, as `make repositories` does.
    pub fn sign(&self, seconds: u32) -> Result<()> {
        let (packages, seconds) = (self.folder.path().join("packages"), seconds.to_string());
        for (script, arguments) in [
            ("debian/repository", vec![packages.as_path(), Path::new("repository/apt"), Path::new(&seconds)]),
            ("rpm/repository", vec![packages.as_path(), Path::new("repository/dnf"), Path::new(&seconds)]),
            ("debian/public-key", vec![Path::new("repository")]),
        ] {
            self.run(Command::new(scripts().join("debian/with-key")).arg("unused").arg(scripts().join(script)).args(arguments))?;
        }
        self.run(Command::new("gpgconf").args(["--kill", "gpg-agent"]))
    }

    /// Makes it anew for a second, and comes back when that is over: this is what somebody has kept.
    pub fn sign_and_let_run_out(&self) -> Result<()> {
        self.sign(1)?;
        let is_over = || {
            // The last file that is made.
            let signed = fs::metadata(self.path().join("key.asc")).ok()?.modified().ok()?;
            (signed.elapsed().ok()? > Duration::from_secs(2)).then_some(())
        };
        found_in_time(SOON, is_over).context("the signature does not run out")
    }

    /// For `OSM_PACKAGES_DIR`.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    /// Does something while another's folder is served in the place of `name`.
    pub fn with_another(&self, name: &str, another: &Path, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let (place, aside) = (self.path().join(name), self.path().join("aside"));
        fs::rename(&place, &aside)?;
        copy(&another.join(name), &place)?;
        act()?;
        fs::remove_dir_all(&place)?;
        fs::rename(&aside, &place)?;
        Ok(())
    }

    /// Does something while one bit in the middle of a file of it is another.
    pub fn with_a_bit_flipped(&self, file: &Path, act: impl FnOnce() -> Result<()>) -> Result<()> {
        let path = &self.path().join(file);
        let good = fs::read(path).with_context(|| path.display().to_string())?;
        let mut bad = good.clone();
        let middle = bad.len() / 2;
        bad[middle] ^= 1;
        fs::write(path, bad)?;
        act().with_context(|| path.display().to_string())?;
        Ok(fs::write(path, good)?)
    }

    fn run(&self, command: &mut Command) -> Result<()> {
        let folder = self.folder.path();
        let output = command.current_dir(folder).env("GNUPGHOME", folder.join("gnupg")).env("OSM_SIGNING_KEY", OWN).output()?;
        ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

/// The files under a folder, that have this end.
pub fn files(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, end)?);
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    Ok(found)
}

/// Where the scripts of `make packages` lie.
pub fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the sources")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-r").arg(from).arg(to).status()?;
    ensure!(copied.success(), "cp -r {}: {copied}", from.display());
    Ok(())
}
