//! Which units the agent may restart on this host. Root's oneshot (`osm-agent policy apply`) makes the list by its own
//! detection and takes nothing from the agent; the agent reads it.
//!
//! | module | what |
//! |---|---|
//! | [`catalog`] | units of known server software |
//! | [`rules`] | which names and units can be listed at all |
//! | [`local`] | services that the administrator wrote |
//! | [`list`] | the list's file, as written by root and read by the agent |
//! | [`polkit`] | the rule that lets the agent's user restart exactly these |
//! | [`detect`] | what root finds on the machine |
//! | [`apply`] | writing the list and the rule |
//! | [`decide`] | root's own word on a unit |

pub mod apply;
pub mod catalog;
pub mod decide;
pub mod detect;
#[cfg(test)]
pub mod fixture;
pub mod list;
pub mod local;
pub mod polkit;
pub mod rules;

/// The agent's static user, by sysusers.d: polkit matches names.
pub const USER: &str = "osm-agent";
/// Root's oneshots, which polkit lets the agent restart.
pub const JOURNAL_UNIT: &str = "osm-agent-journal.service";
pub const LOGROTATE_UNIT: &str = "osm-agent-logrotate.service";
