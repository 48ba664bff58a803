//! Which units the agent may restart on this host. Root's oneshot (`osm-agent policy apply`) makes the list by its own
//! detection and takes nothing from the agent; the agent reads it.
//!
//! | module | what |
//! |---|---|
//! | [`catalog`] | units of known server software |
//! | [`rules`] | which names and units can be listed at all |
//! | [`list`] | the list's file, as written by root and read by the agent |
//! | [`polkit`] | the rule that lets the agent's user restart exactly these |
//! | [`apply`] | detection as root, and writing both files |

pub mod apply;
pub mod catalog;
pub mod list;
pub mod polkit;
pub mod rules;

/// The agent's static user, by sysusers.d: polkit matches names.
pub const USER: &str = "osm-agent";
