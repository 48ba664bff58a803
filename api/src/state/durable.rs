//! Files that survive a crash: written beside, synced, renamed, and the folder synced. Whatever is planted under a name is
//! replaced, never written through: as the agent's `host/durable.rs` does it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Replaces `path` as a whole; afterwards either the old or the new content is there, whatever crashes. Mode 0600.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = folder(path).join(format!(".{name}.new"));
    // A leftover of a crash, or something planted: never written through.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    create(&beside, bytes)?;
    if let Err(error) = fs::rename(&beside, path) {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    sync(folder(path))
}

/// Writes a file that is not there yet, mode 0600; a link of this name counts as there.
pub fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| sync(folder(path)));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

/// Removes a file for good.
pub fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    sync(folder(path))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_leftover_is_no_obstacle() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("command.pem");
        fs::write(folder.path().join(".command.pem.new"), "half").unwrap();
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::metadata(&path).unwrap().mode() & 0o777), (b"two".to_vec(), 0o600));
        assert_eq!(create(&path, b"three").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        remove(&path).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    // Finding 18: the file beside was opened as whatever stood there.
    #[test]
    fn a_planted_link_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "untouched").unwrap();
        for planted in [".command.pem.new", "command.new", "command.pem"] {
            symlink(&victim, folder.path().join(planted)).unwrap();
        }
        replace(&folder.path().join("command.pem"), b"new").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"untouched");
        assert_eq!(fs::read(folder.path().join("command.pem")).unwrap(), b"new");
        symlink(folder.path().join("nowhere"), folder.path().join("link")).unwrap();
        assert!(create(&folder.path().join("link"), b"key").is_err());
    }
}
