//! Reports and silence are judged; what is too much for too long becomes an alert, and somebody sees to it.
//!
//! | module | what happens |
//! |---|---|
//! | [`judge`] | a report is judged |
//! | [`silence`] | servers go silent |
//! | [`incident`] | alerts begin, come again, and end |
//! | [`attend`] | somebody sees to alerts |
//! | [`threshold`] | limits are shown, tried and set |

pub mod attend;
pub mod incident;
pub mod judge;
pub mod silence;
pub mod threshold;
