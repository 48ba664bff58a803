//! The real agent against backends it must not trust, hosts that fail it, and the real backend.

/// Tells a story on SQLite and on PostgreSQL.
macro_rules! both {
    ($name:ident, |$engine:ident| $body:expr) => {
        mod $name {
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
pub(crate) use both;

mod envelopes;
mod hostile;
mod machine;
mod pairing;
mod together;
