//! What is measured, and where it waits while the backend is away.
//!
//! | module | what |
//! |---|---|
//! | [`collect`] | the collectors, one file each |
//! | [`measure`] | one report of what they found |
//! | [`spool`] | reports that the backend has not taken yet |

pub mod collect;
pub mod measure;
pub mod spool;
