//! Rules without I/O; time is passed in. Imports only std and the protocol.
//!
//! | module | what |
//! |---|---|
//! | [`alert`] | when a figure becomes an alert, and when it stops being one |
//! | [`access`] | who may use the bot, and what a role may do |
//! | [`bucket`] | so many at once, so many a second after that |
//! | [`command`] | the states of a command and the transitions between them |
//! | [`confirmation`] | a question that waits for a second tap |
//! | [`event`] | what happened, once each |
//! | [`figures`] | everything in a report that has a limit |
//! | [`ids`] | every id, each a type of its own |
//! | [`incident`] | an alert that fired, until it is over |
//! | [`intent`] | what a person asked for, parsed |
//! | [`mute`] | when a chat or a server makes no sound |
//! | [`notice`] | what is to be told, as keys: rendered when it is sent |
//! | [`packages`] | for how long package managers take what is served |
//! | [`pairing`] | from the token to the paired server |
//! | [`server`] | a server as its chat knows it: online or not, its figures |
//! | [`silence`] | which servers have gone silent |
//! | [`update`] | the states of an update in the inbox |

// A new variant is looked at wherever something is decided by it.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod access;
pub mod alert;
pub mod bucket;
pub mod command;
pub mod confirmation;
pub mod event;
pub mod figures;
pub mod ids;
pub mod incident;
pub mod intent;
pub mod mute;
pub mod notice;
pub mod packages;
pub mod pairing;
pub mod server;
pub mod silence;
pub mod update;

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;
