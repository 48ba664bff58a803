//! Services that the administrator wrote: unit files of their own in /etc/systemd/system.

use std::{collections::BTreeSet, fs, path::Path};

use super::rules;

/// As snapd's wrappers/services.go writes it.
const SNAPPY: &[u8] = b"X-Snappy=yes";

pub const FOLDER: &str = "/etc/systemd/system";

/// Names of the services that the administrator wrote on a host.
#[derive(Debug, Default)]
pub struct LocalUnits(BTreeSet<String>);

impl LocalUnits {
    /// Looks into a folder of units. Only regular files count: `enable` and `mask` make links.
    pub fn read(folder: &Path) -> Self {
        let Ok(files) = fs::read_dir(folder) else { return Self::default() };
        let regular = files.flatten().filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()));
        let names = regular.filter_map(|file| file.file_name().into_string().ok());
        Self(names.filter(|name| rules::is_name(name) && !is_snapds(folder, name)).collect())
    }

    /// Says whether a unit, or the template it is an instance of, is one of them.
    pub fn contains(&self, unit: &str) -> bool {
        self.0.contains(unit) || template_of(unit).is_some_and(|template| self.0.contains(&template))
    }
}

/// Says whether snapd wrote a unit: it puts regular files where the administrator's are, and marks them.
fn is_snapds(folder: &Path, name: &str) -> bool {
    let marked = || fs::read(folder.join(name)).is_ok_and(|file| file.split(|byte| *byte == b'\n').any(|line| line == SNAPPY));
    name.starts_with("snap.") || marked()
}

/// Gives `app@.service` for `app@blue.service`.
fn template_of(unit: &str) -> Option<String> {
    let (name, rest) = unit.split_once('@')?;
    let (_, suffix) = rest.rsplit_once('.')?;
    Some(format!("{name}@.{suffix}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_enable_and_mask_are_no_local_units() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("app.service"), "").unwrap();
        fs::write(folder.path().join("worker@.service"), "").unwrap();
        fs::write(folder.path().join("app.timer"), "").unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.path().join("masked.service")).unwrap();
        std::os::unix::fs::symlink("/usr/lib/systemd/system/x.service", folder.path().join("alias.service")).unwrap();
        let local = LocalUnits::read(folder.path());
        assert_eq!(local.0.iter().collect::<Vec<_>>(), ["app.service", "worker@.service"]);
        assert!(local.contains("app.service") && local.contains("worker@blue.service"));
        assert!(!local.contains("app@blue.service") && !local.contains("masked.service"));
    }

    #[test]
    fn what_snapd_wrote_is_none_of_the_administrators() {
        let folder = tempfile::tempdir().unwrap();
        let snapds = "# auto-generated, DO NOT EDIT\n[Unit]\nX-Snappy=yes\n[Service]\nExecStart=/bin/sleep infinity\n";
        for (unit, text) in [("snap.lxd.daemon.service", ""), ("other.service", snapds), ("app.service", "# X-Snappy=yes, no\n")]
        {
            fs::write(folder.path().join(unit), text).unwrap();
        }
        assert_eq!(LocalUnits::read(folder.path()).0.iter().collect::<Vec<_>>(), ["app.service"]);
    }

    #[test]
    fn an_instance_has_a_template_and_nothing_else_does() {
        assert_eq!(template_of("app@blue.service").unwrap(), "app@.service");
        assert_eq!(template_of("app.service"), None);
    }
}
