//! The host underneath, and the owners of what touches it.
//!
//! | module | what |
//! |---|---|
//! | [`clock`] | the owner of time |
//! | [`random`] | the owner of randomness |
//! | [`identity`] | hashes of the machine's and the boot's id |
//! | [`durable`] | files that survive a crash |
//! | [`lock`] | locks between processes of this program |
//! | [`journal`] | root's oneshot that cleans the journal |
//! | [`systemd`] | D-Bus and `sd_notify(3)` |

pub mod clock;
pub mod durable;
pub mod identity;
pub mod journal;
pub mod lock;
pub mod random;
pub mod systemd;
