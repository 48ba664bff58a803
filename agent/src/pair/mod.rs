//! Pairing with a backend, and its end.
//!
//! | module | what |
//! |---|---|
//! | [`pairing`] | asking the backend, and believing its answer |
//! | [`token`] | where the token comes from |

pub mod pairing;
pub mod token;
