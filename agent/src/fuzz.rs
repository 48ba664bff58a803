//! The parsers of what comes from outside, for the fuzz targets: each takes any bytes, and returns if nothing panicked.

use std::path::Path;

use crate::{config::Settings, report::collect::mounts};

/// Reads `/proc/self/mountinfo`.
pub fn mountinfo(bytes: &[u8]) {
    mounts::filesystems(bytes);
}

/// Reads `agent.toml`, with an empty environment.
pub fn configuration(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Settings::from_text(text, Path::new("/etc/osm-agent/agent.toml"), |_| None);
    }
}
