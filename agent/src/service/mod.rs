//! `osm-agent run`: one session after the other, each with its loops side by side on one thread.
//!
//! | module | what |
//! |---|---|
//! | [`run`] | waits for a pairing, and ends |
//! | [`session`] | what the loops of a session share |
//! | [`reports`] | measures and sends |
//! | [`commands`] | waits for commands and has them done |
//! | [`reboots`] | watches a reboot that is ahead |
//! | [`outcomes`] | brings outcomes to the backend |
//! | [`keys`] | fetches a newer key set |
//! | [`pauses`] | how long a loop waits after a refusal |

pub mod commands;
pub mod keys;
pub mod outcomes;
pub mod pauses;
pub mod reboots;
pub mod reports;
pub mod run;
pub mod session;
