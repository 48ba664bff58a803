//! Numbered points at which the crash tests abort the process. Outside the feature `crash-points` they are nothing.
//!
//! Every commit has a point on either side of it ([`crate::store::Tx::commit`]), so that no use case can lack one.

/// Passes a point: aborts when it is the one that `OSM_CRASH_AT` counts to, and notes its name in `OSM_CRASH_LOG`.
#[cfg(feature = "crash-points")]
pub fn point(name: &str) {
    use std::{
        io::Write,
        sync::atomic::{AtomicU64, Ordering},
    };

    static PASSED: AtomicU64 = AtomicU64::new(0);
    let number = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
    if let Ok(log) = std::env::var("OSM_CRASH_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().create(true).append(true).open(log)
    {
        let _ = writeln!(log, "{name}");
    }
    if std::env::var("OSM_CRASH_AT").is_ok_and(|at| at == number.to_string()) {
        std::process::abort();
    }
}

#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point(_name: &str) {}
