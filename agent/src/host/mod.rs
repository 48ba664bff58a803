//! The host underneath: the owners of time, of files that survive a crash, of D-Bus, of ids.

pub mod clock;
pub mod durable;
pub mod identity;
pub mod journal;
pub mod systemd;
