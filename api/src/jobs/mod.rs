//! What time alone brings about.

pub mod housekeeping;
