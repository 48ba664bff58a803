//! What the stories are told with.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | a backend on a fresh database, the Bot API stand-in, people |
//! | [`agent`] | an agent that does as it is told, well or badly |
//! | [`database`] | a fresh database on either engine |
//! | [`process`] | backend and agent as the programs they are |
//! | [`machine`] | a booted container with a real systemd |

#![expect(clippy::missing_panics_doc, reason = "a story that cannot go on panics: that is what fails the test")]

pub mod agent;
pub mod database;
pub mod machine;
pub mod process;
pub mod world;
