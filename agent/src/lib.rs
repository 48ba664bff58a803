//! The agent of Online Server Monitor: reports this machine's health and runs a handful of allowed, signed actions.

mod backend;
mod cli;
mod command;
mod config;
mod crash;
#[cfg(feature = "fuzz")]
pub mod fuzz;
mod host;
mod logging;
mod machine;
mod pair;
mod policy;
mod report;
mod service;
mod state;
mod text;

pub use cli::main;
