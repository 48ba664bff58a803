//! An action is asked for, confirmed, signed and queued, handed out, finished.
//!
//! | module | what happens |
//! |---|---|
//! | [`ask`] | a button asks for something that has to be confirmed |
//! | [`confirm`] | the second tap: it is confirmed or declined |
//! | [`order`] | what was confirmed is signed and queued |
//! | [`cancel`] | a reboot is taken back or called off |
//! | [`finish`] | commands are handed out, answered, or end by time alone |

pub mod ask;
pub mod cancel;
pub mod confirm;
pub mod finish;
mod order;
