//! All SQL: one text for SQLite and PostgreSQL, one file a table.
//!
//! Every function takes a [`Tx`], so that a use case is one transaction. To add a table: a migration in portable DDL, a file
//! here, a story on both engines. What bites (found on sqlx 0.9 with both):
//! - a claim repeats its condition in the outer WHERE, or PostgreSQL hands a row out twice;
//! - SQLite's writers start with BEGIN IMMEDIATE, or read-then-write fails under load;
//! - `SUM` and `COUNT` want a CAST to BIGINT on PostgreSQL;
//! - ownership (`chat_id`) stands in the WHERE of every query that a chat triggers.

pub mod chats;
mod columns;
pub mod commands;
pub mod confirmations;
mod db;
pub mod events;
pub mod incidents;
pub mod leases;
pub mod messages;
pub mod meta;
pub mod mutes;
pub mod outbox;
pub mod pairings;
pub mod people;
pub mod reports;
pub mod servers;
pub mod thresholds;
pub mod updates;
pub mod watches;

pub use db::{
    Result, Store, Tx,
    wake::{self, Hub, Wake},
};
