//! What the stories are told with.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | a backend on a fresh database, the Bot API stand-in, people |
//! | [`agent`] | an agent that does as it is told, well or badly |
//! | `ending` | what a story may not leave behind |
//! | `errors` | what a story's backend logged as an error |
//! | [`fleet`] | many of them, paired without a conversation |
//! | [`database`] | a fresh database on either engine |
//! | [`process`] | backend and agent as the programs they are |
//! | [`machine`] | a booted container with a real systemd |
//! | [`web_server`] | one with nginx, and the agent |
//! | [`server`] | a server with the agent at work, told about from the chat |
//! | [`talk`] | what people and the bot say to each other |
//! | [`until`] | how a story waits |
//! | [`wire`] | HTTP by hand |
//! | [`story!`] | tells a story on both databases |

#![expect(clippy::missing_panics_doc, reason = "a story that cannot go on panics: that is what fails the test")]

pub mod agent;
pub mod database;
mod ending;
mod errors;
pub mod fleet;
pub mod machine;
pub mod process;
pub mod server;
pub mod talk;
pub mod until;
pub mod web_server;
pub mod wire;
pub mod world;

/// Tells a story on SQLite and on PostgreSQL: `story!(name, |engine| async { … })`.
#[macro_export]
macro_rules! story {
    ($(#[$meta:meta])* $name:ident, |$engine:ident| $body:expr) => {
        $(#[$meta])*
        mod $name {
            #[expect(clippy::wildcard_imports, reason = "a story stands among those of its file")]
            use super::*;

            async fn tell($engine: $crate::database::Engine) {
                $body
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                tell($crate::database::Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                tell($crate::database::Engine::Postgres).await;
            }
        }
    };
}
