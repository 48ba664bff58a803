//! Debian trees, built once by debootstrap and kept.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};

use anyhow::{Context, Result, ensure};

use super::{isolated, locked, remove_where, tail};

/// Part of a root's name: raise it when `Root::build` changes, and kept roots are built anew.
const RECIPE: u32 = 1;

/// An unbooted Debian tree, shared by all machines made from it and never written to.
pub struct Root {
    pub(super) path: PathBuf,
}

impl Root {
    /// The root of `suite` with `packages`, from `$OSM_ROOTS` (default `~/.cache/osm-ci/roots`); built there if missing.
    pub fn ensure(suite: &str, packages: &[&str]) -> Result<Self> {
        ensure!(fs::metadata("/proc/self")?.uid() == 0, "booting containers needs root: run these tests with sudo");
        ensure!(
            in_path("debootstrap") && in_path("systemd-nspawn"),
            "debootstrap or systemd-nspawn is missing: apt-get install debootstrap systemd-container"
        );
        let store = store()?;
        let mut hasher = DefaultHasher::new();
        (RECIPE, packages).hash(&mut hasher);
        let path = store.join(format!("{suite}-{:016x}", hasher.finish()));
        let _lock = locked(&store.join("roots.lock"))?;
        if !path.exists() {
            remove_where(&store, |name| name.starts_with(".building-"))?;
            Self::build(&store, suite, packages, &path)?;
        }
        Ok(Self { path })
    }

    fn build(store: &Path, suite: &str, packages: &[&str], path: &Path) -> Result<()> {
        eprintln!("building a Debian {suite} root in {} (about a minute, kept afterwards)", path.display());
        let started = Instant::now();
        let work = tempfile::Builder::new().prefix(".building-").tempdir_in(store)?;
        let (tree, log, debs) = (work.path().join("root"), work.path().join("log"), store.join("debs"));
        fs::create_dir_all(&debs)?;
        let mut debootstrap = isolated("debootstrap");
        debootstrap.arg("--variant=minbase").arg(format!("--include={}", packages.join(",")));
        debootstrap.arg(format!("--cache-dir={}", debs.display())).arg(suite).arg(&tree).args(host_mirror());
        let out = File::create(&log)?;
        let status = debootstrap.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).status()?;
        ensure!(status.success(), "debootstrap {suite}: {status}\n{}", tail(&log));
        // A nightly upgrade in the middle of a test would hold dpkg's lock.
        for timer in ["apt-daily.timer", "apt-daily-upgrade.timer"] {
            std::os::unix::fs::symlink("/dev/null", tree.join("etc/systemd/system").join(timer))?;
        }
        // A third of the files, and no test reads them: creating files is what a copy's time goes into.
        for folder in ["usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "var/cache/apt/archives"] {
            remove_where(&tree.join(folder), |name| name != "partial")?;
        }
        fs::rename(&tree, path)?;
        eprintln!("built {} in {:.0?}", path.display(), started.elapsed());
        Ok(())
    }
}

/// Where roots are kept, and machines beside them.
pub(super) fn store() -> Result<PathBuf> {
    let default = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/osm-ci/roots"));
    let store = std::env::var_os("OSM_ROOTS").map(PathBuf::from).or_else(default).context("neither OSM_ROOTS nor HOME is set")?;
    fs::create_dir_all(&store)?;
    Ok(store.canonicalize()?)
}

/// The mirror that this host's own apt uses, if it is a Debian; otherwise debootstrap has a default.
fn host_mirror() -> Option<String> {
    let release = fs::read_to_string("/etc/os-release").ok()?;
    let codename = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="))?;
    release.lines().find(|line| *line == "ID=debian")?;
    let mut sources = vec![PathBuf::from("/etc/apt/sources.list")];
    sources.extend(fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path()));
    sources.iter().filter_map(|path| fs::read_to_string(path).ok()).find_map(|source| mirror_in(&source, codename))
}

/// The first mirror of `codename main` in one of apt's source files, in either style (sources.list(5)).
fn mirror_in(source: &str, codename: &str) -> Option<String> {
    let has = |words: &str, word: &str| words.split_whitespace().any(|candidate| candidate == word);
    let one_line = source.lines().filter_map(|line| {
        let rest = line.strip_prefix("deb ")?.trim_start();
        let rest = if rest.starts_with('[') { rest.split_once(']')?.1.trim_start() } else { rest };
        let (uri, rest) = rest.split_once(' ')?;
        (rest.trim_start().starts_with(&format!("{codename} ")) && has(rest, "main")).then_some(uri)
    });
    let stanzas = source.split("\n\n").filter_map(|stanza| {
        let field = |name: &str| stanza.lines().find_map(|line| line.strip_prefix(name));
        let wanted = has(field("Types:")?, "deb") && has(field("Suites:")?, codename) && has(field("Components:")?, "main");
        field("URIs:").filter(|_| wanted)?.split_whitespace().next()
    });
    one_line.chain(stanzas).find(|uri| uri.starts_with("http")).map(str::to_owned)
}

fn in_path(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).exists())
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn the_mirror_of_the_hosts_own_apt_is_found_among_foreign_sources() {
        let foreign = "deb [arch=amd64] https://vendor.example/linux bookworm stable\n";
        let one_line =
            format!("# a comment\n{foreign}deb  [signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib\n");
        assert_eq!(mirror_in(&one_line, "bookworm").as_deref(), Some("http://mirror.example/debian"));
        let security = "Types: deb\nURIs: http://mirror.example/security\nSuites: bookworm-security\nComponents: main\n";
        let deb822 = format!(
            "{security}\nTypes: deb deb-src\n# note\nURIs: http://mirror.example/debian\nSuites: bookworm bookworm-updates\nComponents: main\n"
        );
        assert_eq!(mirror_in(&deb822, "bookworm").as_deref(), Some("http://mirror.example/debian"));
        assert_eq!(mirror_in(foreign, "bookworm"), None);
        assert_eq!(mirror_in(&deb822, "trixie"), None);
    }
}
