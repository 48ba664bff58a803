//! What the agent remembers.

pub mod dir;
