//! Stories through the outer edges, each told on both databases.

mod agent_edge;
mod commands;
mod first;
mod telegram_edge;

/// Tells a story on SQLite and on PostgreSQL: `story!(name, |engine| async { … })`.
#[macro_export]
macro_rules! story {
    ($(#[$meta:meta])* $name:ident, |$engine:ident| $body:expr) => {
        $(#[$meta])*
        mod $name {
            #[allow(clippy::wildcard_imports, unused_imports)]
            use super::*;

            async fn tell($engine: osm_tests::database::Engine) {
                $body
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                tell(osm_tests::database::Engine::Sqlite).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                tell(osm_tests::database::Engine::Postgres).await;
            }
        }
    };
}
