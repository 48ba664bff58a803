//! `osm-agent run`.

pub mod run;
pub mod session;
