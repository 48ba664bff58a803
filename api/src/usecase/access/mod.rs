//! Who may use the bot: the owner is claimed, people are let in and kept out, somebody's role is looked up.
//!
//! | module | what happens |
//! |---|---|
//! | [`claim`] | a person becomes the owner by the link |
//! | [`people`] | the operator lets people in, keeps them out, names the owner |
//! | [`role`] | the role of whoever wrote or tapped |
//! | [`left`] | the owner is told of what is left of people who are no longer admitted |

pub mod claim;
pub mod left;
pub mod people;
pub mod role;
