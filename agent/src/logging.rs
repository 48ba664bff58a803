//! Where log lines go: to the journal when systemd started us, else to standard error.
//!
//! `OSM_LOG` = error, warn, info (default), debug or trace. Other crates' lines are shown from `warn` on.

use std::env;

use crate::text::complain;
use log::{LevelFilter, Log, Metadata, Record};

pub fn init() {
    let level = env::var("OSM_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(LevelFilter::Info);
    log::set_max_level(level);
    let by_systemd = env::var_os("INVOCATION_ID").is_some() && env::var_os("JOURNAL_STREAM").is_some();
    let journal = if by_systemd { systemd_journal_logger::JournalLog::new().ok() } else { None };
    let _ = log::set_boxed_logger(Box::new(Logger { level, journal }));
}

struct Logger {
    level: LevelFilter,
    journal: Option<systemd_journal_logger::JournalLog>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // It logs what the request's own error says too.
        if metadata.target().starts_with("rustls_platform_verifier") {
            return false;
        }
        let ours = metadata.target().starts_with("osm_agent");
        metadata.level() <= if ours { self.level } else { self.level.min(LevelFilter::Warn) }
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if let Some(journal) = &self.journal
            && journal.journal_send(record).is_ok()
        {
            return;
        }
        complain!("{:5} {}", record.level(), record.args());
    }

    fn flush(&self) {}
}
