//! Commands: judged, admitted, written down, done.

pub mod act;
pub mod execute;
pub mod ledger;
