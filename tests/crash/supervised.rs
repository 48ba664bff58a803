//! A program that is started again when a crash point has killed it, as systemd would.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use osm_tests::process::{Ended, Process, aborted};

pub struct Supervised {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<Option<Ended>>>,
    stdout: PathBuf,
}

#[derive(Default)]
struct Shared {
    stopping: bool,
    crashes: u32,
    /// It ended, and not by a crash point.
    failed: Option<String>,
}

impl Supervised {
    /// Starts the program that `make` describes; after a crash without `OSM_CRASH_AT`.
    pub fn start(make: impl Fn() -> Command + Send + 'static, crash_at: Option<&str>, logs: &Path, name: &str) -> Self {
        let shared = Arc::<Mutex<Shared>>::default();
        let (state, logs, name) = (shared.clone(), logs.to_owned(), name.to_owned());
        let stdout = logs.join(format!("{name}.out"));
        let mut crash_at = crash_at.map(str::to_owned);
        let thread = std::thread::spawn(move || {
            loop {
                let mut command = make();
                if let Some(at) = crash_at.take() {
                    command.env("OSM_CRASH_AT", at);
                }
                let process = Process::start(&mut command, &logs, &name).expect("the program starts");
                let ended = attend(process, &state);
                let mut state = lock(&state);
                if aborted(ended.status) {
                    state.crashes += 1;
                    if state.stopping {
                        return Some(ended);
                    }
                } else {
                    if !state.stopping || !ended.status.success() {
                        state.failed = Some(format!("{name} ended by itself, {}:\n{}", ended.status, ended.stderr));
                    }
                    return Some(ended);
                }
            }
        });
        Self { shared, thread: Some(thread), stdout }
    }

    /// How often a crash point has killed it.
    pub fn crashes(&self) -> u32 {
        lock(&self.shared).crashes
    }

    /// Everything it printed, over all its lives.
    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap_or_default()
    }

    /// Everything it complained of.
    pub fn stderr(&self) -> String {
        std::fs::read_to_string(self.stdout.with_extension("err")).unwrap_or_default()
    }

    /// An end that was no crash point's doing.
    pub fn failure(&self) -> Option<String> {
        lock(&self.shared).failed.clone()
    }

    /// Ends it as systemd does; gives how it ended, which may be at a crash point on the way out.
    pub fn stop(mut self) -> Ended {
        lock(&self.shared).stopping = true;
        let ended = self.thread.take().and_then(|thread| thread.join().ok().flatten()).expect("a program to end");
        let failure = self.failure();
        assert!(failure.is_none(), "{}", failure.unwrap_or_default());
        ended
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        lock(&self.shared).stopping = true;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Waits for the end of a process, and brings it about when it is time.
fn attend(mut process: Process, shared: &Mutex<Shared>) -> Ended {
    loop {
        if process.has_ended().expect("a child").is_some() {
            return process.end(Duration::ZERO).expect("an end");
        }
        if lock(shared).stopping {
            let _ = process.terminate();
            return process.end(Duration::from_secs(30)).expect("an end after SIGTERM");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
