//! A command's way through the agent.
//!
//! | module | what |
//! |---|---|
//! | [`judge`] | an envelope's own merits |
//! | [`admit`] | the host's own word: agent.toml, rates, root's list |
//! | [`facts`] | what is remembered of commands |
//! | [`ledger`] | the file that outlives a crash |
//! | [`ended`] | how it ended, and what a call that did not work comes to |
//! | [`restart`], [`oneshot`], [`reboot`] | what is done |
//! | [`execute`] | all of it, in order |

pub mod admit;
pub mod ended;
pub mod execute;
pub mod facts;
#[cfg(test)]
pub mod fixture;
pub mod judge;
pub mod ledger;
pub mod oneshot;
pub mod reboot;
pub mod restart;
#[cfg(test)]
mod theft_tests;
