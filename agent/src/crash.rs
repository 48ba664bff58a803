//! Crash points: places on either side of each durable step where a test can make the process die.
//!
//! Without the feature `crash-points` they are nothing at all. With it, `OSM_CRASH_AT=N` aborts at the N-th point passed
//! (counted from 1), and `OSM_CRASH_LOG=FILE` gets the name of each point passed, one a line.

/// Marks a point; the name says what has just become true.
macro_rules! crash_point {
    ($name:literal) => {{
        #[cfg(feature = "crash-points")]
        $crate::crash::pass($name);
    }};
}
pub(crate) use crash_point;

#[cfg(feature = "crash-points")]
pub(crate) fn pass(name: &str) {
    use std::io::Write as _;
    use std::sync::atomic::{AtomicU64, Ordering};

    static PASSED: AtomicU64 = AtomicU64::new(0);
    let passed = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if let Some(path) = std::env::var_os("OSM_CRASH_LOG")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = writeln!(file, "{name}");
    }
    if std::env::var("OSM_CRASH_AT").ok().and_then(|at| at.parse::<u64>().ok()) == Some(passed) {
        std::process::abort();
    }
}
