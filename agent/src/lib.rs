//! The agent of Online Server Monitor: reports this machine's health and runs a handful of allowed, signed actions.
//!
//! | room | what | may import of its own crate |
//! |---|---|---|
//! | `text` | texts made fit for a report, a log line or a person | nothing |
//! | `crash` | points at which a test can make the agent die | nothing |
//! | `logging` | where log lines go | `text` |
//! | `config` | `agent.toml`: raw → merged → validated | nothing |
//! | `host/` | the machine underneath, and the owners of what touches it: time, randomness, files that survive a crash, D-Bus | `config`, `text` |
//! | `policy/` | what root decides: detection, the list, the polkit rule | `config`, `host`, `text` |
//! | `state/` | the state directory, the pairing, how it goes | `crash`, `host`, `text` |
//! | `backend/` | the way to the backend: its address, signed calls, what comes back instead of an answer | `host`, `text` |
//! | `report/` | what is measured, and where it waits while the backend is away | `config`, `crash`, `host`, `policy`, `text` |
//! | `command/` | a command's way: judged, admitted, written down, done | `config`, `crash`, `host`, `policy`, `text` |
//! | `machine` | what everything that talks to the backend is given | `backend`, `config`, `host`, `state` |
//! | `pair/` | pairing and its end, and where the token comes from | `backend`, `crash`, `host`, `machine`, `report`, `state`, `text` |
//! | `service/` | `osm-agent run`: a session, and its loops one file each | `backend`, `command`, `crash`, `host`, `machine`, `report`, `state` |
//! | `cli/` | what a person types | `backend`, `config`, `host`, `logging`, `machine`, `pair`, `policy`, `report`, `service`, `state`, `text` |
//! | `fuzz` | parsers for the fuzz targets, with the feature of this name | `config`, `report` |
//! | `golden/` | a test: what is stored can be read and is written as in its files | `command`, `config`, `host`, `policy`, `report`, `state` |

// `text` prints: it cleans what is printed.
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod backend;
mod cli;
mod command;
mod config;
mod crash;
#[cfg(feature = "fuzz")]
pub mod fuzz;
#[cfg(test)]
mod golden;
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
