//! The state directory: files in it that survive a crash, and the one process that serves from it.
//!
//! | module | what |
//! |---|---|
//! | [`durable`] | files that are whole or as they were |
//! | [`lock`] | one `osm-api serve` a state directory |

pub mod durable;
pub mod lock;
