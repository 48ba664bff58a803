//! Rules without I/O; time is passed in. Imports only std and the protocol.
//!
//! | module | what |
//! |---|---|
//! | [`alert`] | when a figure becomes an alert, and when it stops being one |
//! | [`access`] | who may use the bot, and what a role may do |
//! | [`command`] | the states of a command and the transitions between them |
//! | [`incident`] | an alert that fired, until it is over |
//! | [`intent`] | what a person asked for, parsed |
//! | [`mute`] | when a chat or a server makes no sound |
//! | [`notice`] | what is to be told, as keys: rendered when it is sent |
//! | [`server`] | a server as its chat knows it: online or not, its figures |
//! | [`silence`] | which servers have gone silent |
//! | [`view`] | a notice with fresh data, ready to be put in words |

pub mod access;
pub mod alert;
pub mod command;
pub mod incident;
pub mod intent;
pub mod mute;
pub mod notice;
pub mod server;
pub mod silence;
pub mod view;

/// Milliseconds since the Unix epoch.
pub type Millis = i64;

pub const SECOND: Millis = 1_000;
pub const MINUTE: Millis = 60 * SECOND;
pub const HOUR: Millis = 60 * MINUTE;
pub const DAY: Millis = 24 * HOUR;
