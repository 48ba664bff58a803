//! What a story may not leave behind: updates that nobody handled, messages that nobody got, calls that Telegram refused as
//! wrong, errors in the log.

use std::sync::atomic::{AtomicBool, Ordering};

use osm_telegram_sim::{Call, Sim};

use crate::{database, until::found_within, world::SOON};

/// What this story leaves behind on purpose.
#[derive(Default)]
pub struct Excused {
    messages: AtomicBool,
    refusals: AtomicBool,
    errors: AtomicBool,
}

impl Excused {
    pub fn messages(&self) {
        self.messages.store(true, Ordering::Relaxed);
    }

    pub fn refusals(&self) {
        self.refusals.store(true, Ordering::Relaxed);
    }

    pub fn errors(&self) {
        self.errors.store(true, Ordering::Relaxed);
    }

    /// What is not excused of the errors in the log.
    pub fn of_errors(&self, errors: Vec<String>) -> Vec<String> {
        let logged = errors.into_iter().map(|error| format!("the backend logs an error: {error}"));
        logged.filter(|_| !self.errors.load(Ordering::Relaxed)).collect()
    }
}

/// Waits until nothing is left to be handled and told, and says what stays. In a thread with a runtime of its own: a world
/// ends where nothing can be awaited.
pub fn left_over(database_url: &str, now: i64, sim: &Sim, excused: &Excused) -> Vec<String> {
    let mut left = Vec::new();
    if !excused.messages.load(Ordering::Relaxed) {
        let url = database_url.to_owned();
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(nothing_waits(&url, now))
        });
        left.extend(ended.join().expect("a look at the database").err());
    }
    if !excused.refusals.load(Ordering::Relaxed) {
        left.extend(sim.calls().iter().filter(|call| is_wrong(call)).map(|call| format!("Telegram refused {call:?}")));
    }
    left
}

/// A call that is wrong in itself. An edit that changes nothing is as good as done.
fn is_wrong(call: &Call) -> bool {
    call.error.as_ref().is_some_and(|error| error.starts_with("Bad Request") && !error.contains("message is not modified"))
}

/// What is held for later, or waits for another try, is not left over, nor is what nobody can receive.
async fn nothing_waits(database_url: &str, now: i64) -> Result<(), String> {
    let waiting = format!(
        "SELECT (SELECT COUNT(*) FROM updates WHERE state = 'open'),
             (SELECT COUNT(*) FROM outbox o LEFT JOIN chats c ON c.id = o.chat_id
              WHERE COALESCE(o.hold_until, 0) <= {now} AND COALESCE(o.try_at, 0) <= {now} AND COALESCE(c.reachable, TRUE))"
    );
    let mut left = None;
    let none = found_within(SOON, async || {
        let found = database::rows(database_url, &waiting).await.map(|rows| rows.concat());
        let is_none = matches!(&found, Ok(counts) if *counts == [0, 0]);
        left = Some(found);
        is_none.then_some(())
    });
    none.await.ok_or_else(|| format!("updates and messages that wait: {left:?}"))
}
