//! Pairing with a backend.

pub mod pairing;
pub mod token;
