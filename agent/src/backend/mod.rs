//! The way to the backend, and the owner of HTTP.
//!
//! | module | what |
//! |---|---|
//! | [`address`] | where it is |
//! | [`client`] | the calls, signed, with their limits |
//! | [`answer`] | whether an answer is the backend's own |
//! | [`removal`] | whether the backend's word that a server was removed holds |
//! | [`error`] | what can come back instead of an answer |
//! | [`backoff`] | pauses between attempts |

pub mod address;
pub mod answer;
pub mod backoff;
pub mod client;
pub mod error;
pub mod removal;
