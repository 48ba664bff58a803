//! Updates in.
//!
//! | module | what |
//! |---|---|
//! | [`webhook`], [`polling`] | the two ways in which they come; both only store |
//! | [`update`] | an update becomes a parsed request, pure |
//! | [`inbox`] | applies requests, a chat's oldest first |

pub mod inbox;
pub mod polling;
pub mod update;
pub mod webhook;
