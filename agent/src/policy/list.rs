//! The file that root writes and the agent reads: which units may be restarted, or why none.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use osm_protocol::action::Chore;
use serde::{Deserialize, Serialize};

use super::rules::{self, NamedBy};
use crate::host::durable;

const FILE_MAX: u64 = 1024 * 1024;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitList {
    /// 1.
    pub version: u32,
    /// Sorted primary names.
    pub units: Vec<String>,
    /// What else root grants.
    #[serde(default)]
    pub chores: Vec<Chore>,
    /// Why no service can be restarted here, when that is so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error("{0} does not exist: no service can be restarted. Do, as root: osm-agent policy apply")]
    Missing(PathBuf),
    #[error("{0} can be written by others than root: it is not believed. Do, as root: osm-agent policy apply")]
    NotRoots(PathBuf),
    #[error("{path} cannot be read ({problem}): no service can be restarted. Do, as root: osm-agent policy apply")]
    Unreadable { path: PathBuf, problem: String },
}

impl UnitList {
    /// Reads the list, and refuses one that others than root could have written.
    pub fn read(path: &Path) -> Result<Self, ListError> {
        let unreadable = |problem: String| ListError::Unreadable { path: path.to_owned(), problem };
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ListError::Missing(path.to_owned()),
            _ => unreadable(error.to_string()),
        })?;
        if !is_trusted(metadata.uid()) || metadata.mode() & 0o022 != 0 {
            return Err(ListError::NotRoots(path.to_owned()));
        }
        let bytes = durable::read(path, FILE_MAX)
            .map_err(|error| unreadable(error.to_string()))?
            .ok_or_else(|| ListError::Missing(path.to_owned()))?;
        Self::parse(&bytes).map_err(unreadable)
    }

    /// Gives the file's content.
    pub fn to_json(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec_pretty(self)
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut list: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if list.version != 1 {
            return Err(format!("version {} is not known here", list.version));
        }
        // A list placed by hand obeys the same rules.
        list.units.retain(|unit| rules::check_name(unit, NamedBy::Root).is_ok());
        Ok(list)
    }

    pub fn contains(&self, unit: &str) -> bool {
        self.units.iter().any(|listed| listed == unit)
    }
}

/// Trusts root; in builds for tests whoever runs them, so that they need no root.
fn is_trusted(owner: u32) -> bool {
    let tested = cfg!(any(test, feature = "crash-points"));
    owner == 0 || tested && owner == rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_never_holds_the_system_or_the_agent_itself() {
        let list =
            UnitList::parse(br#"{"version":1,"units":["nginx.service","osm-agent.service","dbus.service","a b"]}"#).unwrap();
        assert_eq!(list.units, ["nginx.service"]);
        assert!(list.contains("nginx.service") && !list.contains("nginx"));
    }

    #[test]
    fn anything_else_is_an_error_and_lists_nothing() {
        for bad in [&b""[..], b"[]", b"{\"version\":2,\"units\":[]}", b"{\"version\":1,\"units\":[],\"x\":1}", b"\xff"] {
            assert!(UnitList::parse(bad).is_err());
        }
        let error = UnitList::read(Path::new("/nonexistent/units.json")).unwrap_err().to_string();
        assert!(error.contains("osm-agent policy apply"), "{error}");
    }

    #[test]
    fn a_list_that_others_can_write_is_not_believed() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("units.json");
        fs::write(&path, r#"{"version":1,"units":["nginx.service"]}"#).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(matches!(UnitList::read(&path), Err(ListError::NotRoots(_))));
    }
}
