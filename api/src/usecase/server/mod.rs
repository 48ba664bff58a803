//! Servers are looked up, shown, removed, given to another chat.

pub mod find;
pub mod look;
pub mod operate;
pub mod place;
pub mod remove;
