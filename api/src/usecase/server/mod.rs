//! Servers are looked up, shown, removed.

pub mod find;
pub mod look;
pub mod remove;
