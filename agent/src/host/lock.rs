//! Locks between processes of this program: flock(2) on a file that names its holder. The kernel lets go of one however its
//! holder ends.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    time::Duration,
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::Errno,
};

/// More than a number and a word is no holder.
const HOLDER_MAX: u64 = 64;

/// Held for as long as it lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held, not read")] File);

#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{0}")]
    Held(Holder),
    #[error("{0}")]
    Unusable(#[from] io::Error),
}

/// Who has a lock, as far as its file tells.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.shown())]
pub struct Holder(Option<(u32, String)>);

impl Holder {
    fn shown(&self) -> String {
        match &self.0 {
            Some((pid, command)) => format!("another `osm-agent {command}` (process {pid})"),
            // It has just taken the lock, or its disk is full.
            None => "another `osm-agent`".to_owned(),
        }
    }

    fn parse(text: &str) -> Self {
        let is_command = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b' ');
        let holder = text.trim_end().split_once(' ').filter(|(_, command)| is_command(command));
        Self(holder.and_then(|(pid, command)| Some((pid.parse().ok()?, command.to_owned()))))
    }
}

impl Lock {
    /// Takes a lock for `command`, or says who has it.
    pub fn take(path: &Path, command: &str) -> Result<Self, LockError> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self::held(file, command)),
            Err(Errno::WOULDBLOCK) => Err(LockError::Held(holder(path))),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }

    /// Waits its turn for this long; then says who has the lock.
    pub async fn wait(path: &Path, command: &str, limit: Duration) -> Result<Self, LockError> {
        let file = open(path)?;
        let waiting = tokio::task::spawn_blocking(move || {
            rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)).map(|()| file)
        });
        match tokio::time::timeout(limit, waiting).await {
            Ok(Ok(Ok(file))) => Ok(Self::held(file, command)),
            Ok(Ok(Err(error))) => Err(io::Error::from(error).into()),
            Ok(Err(error)) => Err(io::Error::other(error).into()),
            Err(_) => Err(LockError::Held(holder(path))),
        }
    }

    fn held(mut file: File, command: &str) -> Self {
        // For people alone: a full disk keeps nobody from working.
        let _ = file.set_len(0).and_then(|()| writeln!(file, "{} {command}", std::process::id()));
        Self(file)
    }
}

/// Never through a link: root opens one of these.
fn open(path: &Path) -> io::Result<File> {
    let nofollow = OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow).open(path)
}

fn holder(path: &Path) -> Holder {
    let mut text = String::new();
    match File::open(path).and_then(|file| file.take(HOLDER_MAX).read_to_string(&mut text)) {
        Ok(_) => Holder::parse(&text),
        Err(_) => Holder::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_cannot_have_a_lock_is_told_who_has_it_until_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        std::fs::write(&path, "77 a longer command than the next\n").unwrap();
        let held = Lock::take(&path, "policy apply").unwrap();
        let refused = format!("another `osm-agent policy apply` (process {})", std::process::id());
        assert_eq!(Lock::take(&path, "run").unwrap_err().to_string(), refused);
        assert_eq!(Lock::wait(&path, "run", Duration::ZERO).await.unwrap_err().to_string(), refused);
        let waiting = Lock::wait(&path, "run", Duration::from_mins(1));
        let (taken, ()) = tokio::join!(waiting, async { drop(held) });
        taken.unwrap();
    }

    #[test]
    fn a_file_that_names_nobody_is_no_obstacle() {
        for (text, shown) in [
            ("12 run\n", "another `osm-agent run` (process 12)"),
            ("", "another `osm-agent`"),
            ("x run\n", "another `osm-agent`"),
            ("12 \u{1b}[2J\n", "another `osm-agent`"),
        ] {
            assert_eq!(Holder::parse(text).to_string(), shown);
        }
    }

    #[test]
    fn a_planted_link_is_not_written_through() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("lock")).unwrap();
        assert!(matches!(Lock::take(&folder.path().join("lock"), "run"), Err(LockError::Unusable(_))));
        assert_eq!(std::fs::read(&victim).unwrap(), b"untouched");
    }
}
