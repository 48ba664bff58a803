//! What is measured, and where it waits while the backend is away.

pub mod collect;
pub mod measure;
pub mod spool;
