//! The stand-in as a bot sees it: over HTTP, with no client library in between.

mod budgets;
mod common;
mod delivery;
mod failures;
mod limits;
mod page;
mod people;
