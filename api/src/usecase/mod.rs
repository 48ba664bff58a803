//! What happens: load, decide, write and leave notices, in one transaction ([`work::Work`]).
//!
//! | module | what happens |
//! |---|---|
//! | [`update`] | a person wrote or tapped |
//! | [`access`] | the owner is claimed, people are let in and kept out |
//! | [`pair`] | a pairing token is made, used, dead |
//! | [`refusals`] | callers who are nobody here were refused |
//! | [`packages`] | the repositories that are served run out |
//! | [`report`] | agents report, many in one transaction |
//! | [`command`] | an action is asked for, confirmed, handed out, finished |
//! | [`server`] | servers are looked up, shown, removed, given to another chat |
//! | [`alert`] | reports and silence are judged; somebody sees to alerts |
//! | [`chat`] | a chat sets when it is silent, and its time zone; the operator removes what it has |
//! | [`start`] | the backend starts |
//! | [`scene`] | a person's request while it is applied, and the answers to it |
//! | [`work`] | one transaction, its moment, and what it brings about |
//! | [`announce`] | what of alerts a chat hears |
//! | [`readiness`] | what the backend lacks of being ready |
//! | [`tally`] | refusals are counted until they are told |
//! | [`tell`] | notices are left for chats |

// A new variant is looked at wherever something is decided by it.
#![warn(clippy::wildcard_enum_match_arm)]

pub mod access;
pub mod alert;
mod announce;
pub mod chat;
pub mod command;
pub mod packages;
pub mod pair;
pub mod readiness;
pub mod refusals;
pub mod report;
pub mod scene;
pub mod server;
pub mod start;
pub mod tally;
mod tell;
pub mod update;
pub mod work;

use crate::{clock::Clock, config::Config, domain::ids::InstanceId, keys::Keys, packages::Packages, store::Store};

/// What every use case works with.
pub struct Core {
    pub config: Config,
    pub clock: Clock,
    pub store: Store,
    pub keys: Keys,
    /// What `OSM_PACKAGES_DIR` has to offer.
    pub packages: Option<Packages>,
    /// What was refused lately.
    pub refusals: tally::Refusals,
    /// Whether the bot is set up.
    pub readiness: readiness::Readiness,
    /// Names this process among several instances.
    pub instance: InstanceId,
}
