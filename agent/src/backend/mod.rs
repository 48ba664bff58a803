//! The way to the backend, and the owner of HTTP.
//!
//! | module | what |
//! |---|---|
//! | [`address`] | where it is |
//! | [`client`] | the calls, signed, with their limits |
//! | [`error`] | what can come back instead of an answer |
//! | [`backoff`] | pauses between attempts |

pub mod address;
pub mod backoff;
pub mod client;
pub mod error;
