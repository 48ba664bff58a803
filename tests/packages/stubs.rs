//! Packages with nothing in them, as somebody else's repository offers them.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use osm_tests::machine::Machine;

use crate::{repository::files, site};

/// A .deb in `folder`.
pub fn deb(folder: &Path, name: &str, version: &str) -> Result<()> {
    let tree = tempfile::tempdir()?;
    fs::create_dir(tree.path().join("DEBIAN"))?;
    let control = format!(
        "Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: Another <another@example.com>\nDescription: stub\n"
    );
    fs::write(tree.path().join("DEBIAN/control"), control)?;
    run(Command::new("dpkg-deb").arg("--build").arg(tree.path()).arg(folder.join(format!("{name}_{version}_amd64.deb"))))?;
    Ok(())
}

/// An .rpm in `folder`.
pub fn rpm(folder: &Path, name: &str, version: &str) -> Result<()> {
    let spec = format!(
        "%global _build_id_links none\nName: {name}\nVersion: {version}\nRelease: 1\nSummary: Stub\nLicense: None\n%description\nStub.\n\
         %files\n"
    );
    let (work, rpm) = rpm_of(name, &spec)?;
    fs::copy(&rpm, folder.join(rpm.file_name().context("a name")?))?;
    drop(work);
    Ok(())
}

/// What a spec says, and the folder that holds it.
pub fn rpm_of(name: &str, spec: &str) -> Result<(tempfile::TempDir, PathBuf)> {
    let work = tempfile::tempdir()?;
    fs::write(work.path().join("spec"), spec)?;
    let define = format!("_topdir {}", work.path().display());
    run(Command::new("rpmbuild").args(["--quiet", "-bb", "--define", &define]).arg(work.path().join("spec")))?;
    let built = work.path().join("RPMS");
    let arch = fs::read_dir(&built)?.next().context("no package")??.path();
    let rpm = site::package(&arch, name, ".rpm")?;
    Ok((work, rpm))
}

/// An apt repository without any signature or Release, which root believes by `trusted=yes`.
pub fn another_apt(machine: &Machine, name: &str, version: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    deb(folder.path(), name, version)?;
    let list = run(Command::new("apt-ftparchive").args(["packages", "."]).current_dir(folder.path()))?;
    fs::write(folder.path().join("Packages"), list)?;
    copy_in(machine, folder.path())?;
    machine.write("/etc/apt/sources.list.d/another.list", "deb [trusted=yes] file:/srv/another ./\n", 0o644, "root")
}

/// The same for dnf.
pub fn another_dnf(machine: &Machine, name: &str, version: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    rpm(folder.path(), name, version)?;
    run(Command::new("createrepo_c").arg("--quiet").arg(folder.path()))?;
    copy_in(machine, folder.path())?;
    let source = "[another]\nname=another\nbaseurl=file:///srv/another\ngpgcheck=0\n";
    machine.write("/etc/yum.repos.d/another.repo", source, 0o644, "root")
}

fn copy_in(machine: &Machine, folder: &Path) -> Result<()> {
    for file in files(folder, "")? {
        let inside = Path::new("/srv/another").join(file.strip_prefix(folder)?);
        machine.copy_in(&file, inside.to_str().context("a path in UTF-8")?, 0o644)?;
    }
    Ok(())
}

fn run(command: &mut Command) -> Result<Vec<u8>> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(output.stdout)
}
