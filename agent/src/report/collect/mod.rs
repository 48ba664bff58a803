//! One file a collector. Each yields what the protocol carries, within its limits, and never fails the whole report: what
//! cannot be read is absent.

pub mod cpu;
pub mod disk;
pub mod host;
pub mod load;
pub mod memory;
pub mod mounts;
pub mod processes;
pub mod services;
mod spells;
mod standings;
