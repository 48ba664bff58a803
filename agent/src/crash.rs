//! Crash points: places on either side of each durable step where a test can make the process die.
//!
//! Without the feature `crash-points` they are nothing at all. With it, `OSM_CRASH_AT=12` aborts at the twelfth point passed,
//! `OSM_CRASH_AT=pair.stored` at the first of that name and `pair.stored#3` at the third; `OSM_CRASH_LOG=FILE` gets the name
//! of each point passed, one a line.

/// Marks a point; the name says what has just become true.
macro_rules! crash_point {
    ($name:literal) => {{
        #[cfg(feature = "crash-points")]
        $crate::crash::pass($name);
    }};
}
pub(crate) use crash_point;

#[cfg(feature = "crash-points")]
pub(crate) fn pass(name: &'static str) {
    use std::io::Write as _;
    use std::sync::{Mutex, PoisonError};

    static PASSED: Mutex<Vec<&str>> = Mutex::new(Vec::new());
    let (number, of_name) = {
        let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
        passed.push(name);
        (passed.len(), passed.iter().filter(|&&earlier| earlier == name).count())
    };
    if let Some(path) = std::env::var_os("OSM_CRASH_LOG")
        && let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = writeln!(file, "{name}");
    }
    let here = [number.to_string(), format!("{name}#{of_name}")];
    if std::env::var("OSM_CRASH_AT").is_ok_and(|at| here.contains(&at) || (at == name && of_name == 1)) {
        std::process::abort();
    }
}
