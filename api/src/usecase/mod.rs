//! One file for each thing that happens: load, decide, write and leave notices, in one transaction.
//!
//! | module | what happens |
//! |---|---|
//! | [`update`] | a person wrote or tapped |
//! | [`access`] | the owner is claimed; somebody is let in or not |
//! | [`pair`] | a token is made, used, dead |
//! | [`report`] | agents report, many in one transaction |
//! | [`command`] | an action is asked for, confirmed, handed out, finished |
//! | [`alert`] | reports and silence are judged |
//! | [`incident`] | alerts begin, come again, and end |
//! | [`announce`] | what of alerts a chat hears |
//! | [`attend`] | somebody sees to alerts |
//! | [`threshold`] | limits are shown, tried and set |
//! | [`mute`] | a chat or a server is told to be silent, and the chat's time zone |
//! | [`server`] | servers are listed, looked up, removed |
//! | [`tell`] | notices are left for chats |

pub mod access;
pub mod alert;
pub mod announce;
pub mod attend;
pub mod command;
pub mod incident;
pub mod mute;
pub mod pair;
pub mod report;
pub mod server;
pub mod tell;
pub mod threshold;
pub mod update;

use crate::{clock::Clock, config::Config, keys::Keys, packages::Packages, store::Store};

/// What every use case works with.
pub struct Core {
    pub config: Config,
    pub clock: Clock,
    pub store: Store,
    pub keys: Keys,
    /// What `OSM_PACKAGES_DIR` has to offer.
    pub packages: Option<Packages>,
    /// Names this process among several instances.
    pub instance: String,
}
