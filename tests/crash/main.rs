//! Processes die at every durable step; told again by those who saw no answer, each story ends as if nothing had happened.
//!
//! A first run notes the crash points that the story passes; then the story is told once for each of them, and the program
//! aborts there, once. Needs programs built with the feature `crash-points`.

mod agent;
mod backend;
mod full_disk;
mod life;
mod stories;
mod supervised;

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, bail};

/// How long a story waits for what must happen: also for a claim that a dead backend holds on PostgreSQL.
const SOON: Duration = Duration::from_mins(1);

/// Tries until there is something, as people and agents do.
async fn persistently<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let end = tokio::time::Instant::now() + SOON;
    let mut last = None;
    while tokio::time::Instant::now() < end {
        match attempt().await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) => last = Some(error),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    bail!("not within {SOON:?}: {what}; the last error: {last:?}")
}

/// All that matches in the sources of a crate, by what stands before and behind it: `.commit("` and `"`.
fn named_in_sources(folder: &Path, before: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(named_in_sources(&path, before));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source");
            let names = source.split(before).skip(1).filter_map(|rest| rest.split_once('"'));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
    found.sort();
    found.dedup();
    found
}
