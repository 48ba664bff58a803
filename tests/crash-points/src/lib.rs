//! Points on either side of each durable step, at which the crash tests make a program die.
//!
//! Without the feature `abort` they are nothing at all. With it, `OSM_CRASH_AT=12` aborts at the twelfth point that the process
//! passes, `OSM_CRASH_AT=pair.stored` at the first of that name and `pair.stored#3` at the third; `OSM_CRASH_LOG=FILE` gets the
//! name of each point passed, one a line.

/// Passes a point; its name says what has just become true, or is about to.
#[cfg(feature = "abort")]
pub fn point(name: &str) {
    use std::{
        io::Write as _,
        sync::{Mutex, PoisonError},
    };

    static PASSED: Mutex<Vec<String>> = Mutex::new(Vec::new());
    let (number, of_name) = {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        passed.push(name.to_owned());
        (passed.len(), passed.iter().filter(|earlier| *earlier == name).count())
    };
    if let Some(path) = std::env::var_os("OSM_CRASH_LOG")
        && let Ok(mut log) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = writeln!(log, "{name}");
    }
    let here = [number.to_string(), format!("{name}#{of_name}")];
    if std::env::var("OSM_CRASH_AT").is_ok_and(|at| here.contains(&at) || (at == name && of_name == 1)) {
        std::process::abort();
    }
}

/// Does nothing: only programs for the crash tests have points.
#[cfg(not(feature = "abort"))]
#[inline]
pub fn point(_name: &str) {}
