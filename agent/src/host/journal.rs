//! `osm-agent clean-journal`: root's oneshot, with the amounts of root's own agent.toml and no input from the agent.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, ensure};

use crate::text::say;
use crate::{
    config::{JournalLimits, Settings},
    host::durable,
};

/// How many bytes the last cleaning freed, for the agent to tell.
pub const FREED: &str = "/run/osm-agent-journal/freed";
const JOURNALCTL: &str = "/usr/bin/journalctl";
const JOURNALS: [&str; 2] = ["/var/log/journal", "/run/log/journal"];

pub fn clean(settings: &Settings) -> Result<()> {
    durable::remove(Path::new(FREED)).with_context(|| format!("{FREED} cannot be removed"))?;
    let before: u64 = JOURNALS.iter().map(|folder| size(Path::new(folder))).sum();
    let status = Command::new(JOURNALCTL)
        .args(arguments(settings.journal))
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("{JOURNALCTL} does not run"))?;
    ensure!(status.success(), "{JOURNALCTL} ended with {status}");
    let after: u64 = JOURNALS.iter().map(|folder| size(Path::new(folder))).sum();
    let freed = before.saturating_sub(after);
    say!("{freed} bytes freed");
    durable::replace(Path::new(FREED), freed.to_string().as_bytes(), 0o644).with_context(|| format!("{FREED} cannot be written"))
}

/// Gives the arguments: also `--rotate`, since only archived files are vacuumed.
fn arguments(keep: JournalLimits) -> [String; 3] {
    ["--rotate".to_owned(), format!("--vacuum-size={}M", keep.megabytes), format!("--vacuum-time={}d", keep.days)]
}

/// Reads what the last cleaning freed, in bytes.
pub fn freed(path: &Path) -> Option<u64> {
    let bytes = durable::read(path, 64).ok()??;
    std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
}

/// Counts the bytes on disk of a folder of journals: one folder a machine, files in it.
fn size(folder: &Path) -> u64 {
    let of_files = |folder: &Path| -> u64 {
        let files = fs::read_dir(folder).into_iter().flatten().flatten().filter_map(|file| file.metadata().ok());
        files.filter(fs::Metadata::is_file).map(|file| file.blocks() * 512).sum()
    };
    let machines = fs::read_dir(folder).into_iter().flatten().flatten();
    machines.map(|machine| of_files(&machine.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_constants_and_roots_amounts() {
        let arguments = arguments(JournalLimits { megabytes: 200, days: 14 });
        assert_eq!(arguments, ["--rotate", "--vacuum-size=200M", "--vacuum-time=14d"]);
    }

    #[test]
    fn what_was_freed_is_a_number_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("freed");
        assert_eq!(freed(&path), None);
        for (text, bytes) in [("94600000", Some(94_600_000)), ("", None), ("-1", None), ("9".repeat(65).as_str(), None)] {
            fs::write(&path, text).unwrap();
            assert_eq!(freed(&path), bytes, "{text:?}");
        }
    }

    #[test]
    fn sizes_are_those_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let machine = folder.path().join("0123");
        fs::create_dir(&machine).unwrap();
        fs::write(machine.join("system.journal"), vec![1; 100_000]).unwrap();
        assert!((100_000..200_000).contains(&size(folder.path())), "{}", size(folder.path()));
    }
}
