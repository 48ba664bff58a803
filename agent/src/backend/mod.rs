//! The way to the backend.

pub mod backoff;
pub mod client;
