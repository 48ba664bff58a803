//! What a chat sets for itself: when it is silent, and where its people live.

pub mod mute;
pub mod revoke;
