//! What time alone brings about.

pub mod heartbeat;
pub mod housekeeping;
pub mod numbering;
pub mod offline;
pub mod packages;
pub mod refusals;
