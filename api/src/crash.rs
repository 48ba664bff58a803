//! Points at which the crash tests abort the process. Outside the feature `crash-points` they are nothing.
//!
//! Every commit has a point on either side of it ([`crate::store::Tx::commit`]), so that no use case can lack one.

/// Passes a point, and notes its name in `OSM_CRASH_LOG`. `OSM_CRASH_AT` says where to abort: `12` at the twelfth point passed,
/// `pair.before-commit` at the first of that name, `pair.before-commit#3` at the third.
#[cfg(feature = "crash-points")]
pub fn point(name: &str) {
    use std::{
        io::Write,
        sync::{Mutex, PoisonError},
    };

    static PASSED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let (number, of_name) = {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        passed.push(name.to_owned());
        (passed.len(), passed.iter().filter(|earlier| *earlier == name).count())
    };
    if let Ok(log) = std::env::var("OSM_CRASH_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().create(true).append(true).open(log)
    {
        let _ = writeln!(log, "{name}");
    }
    let here = [number.to_string(), format!("{name}#{of_name}")];
    if std::env::var("OSM_CRASH_AT").is_ok_and(|at| here.contains(&at) || (at == name && of_name == 1)) {
        std::process::abort();
    }
}

#[cfg(not(feature = "crash-points"))]
#[inline]
pub fn point(_name: &str) {}
