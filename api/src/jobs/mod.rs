//! What time alone brings about.

pub mod heartbeat;
pub mod housekeeping;
pub mod offline;
