//! A pairing token is made, used, dead.
//!
//! | module | what happens |
//! |---|---|
//! | [`token`] | a token is made and shown; a dead one is taken out of its message |
//! | [`complete`] | an agent comes with a token |

pub mod complete;
pub mod token;
