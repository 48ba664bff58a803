//! What all tables share: connections, transactions, wakes, lists of ids, columns of our own types.

mod conn;
pub(super) mod in_list;
pub mod wake;

pub(super) use conn::Conn;
pub use conn::{Store, Tx};

pub type Result<T> = std::result::Result<T, sqlx::Error>;

/// Runs the same body on either engine's connection: `on!(tx, conn => sqlx::query("…").fetch_all(conn).await)`.
macro_rules! on {
    ($tx:expr, $conn:ident => $body:expr) => {
        match &mut $tx.conn {
            $crate::store::db::Conn::Sqlite(conn) => {
                let $conn = &mut **conn;
                $body
            }
            $crate::store::db::Conn::Postgres(conn) => {
                let $conn = &mut **conn;
                $body
            }
        }
    };
}
pub(super) use on;

/// Runs a statement on either engine; gives the number of rows it changed.
macro_rules! execute {
    ($tx:expr, $query:expr) => {
        $crate::store::db::on!($tx, conn => $query.execute(conn).await.map(|done| done.rows_affected()))
    };
}
pub(super) use execute;

/// JSON columns hold our own types: a row that does not parse is a fault of the database, not of a caller.
pub(in crate::store) fn from_json<T: serde::de::DeserializeOwned>(column: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: Box::new(error) })
}

pub(in crate::store) fn to_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our own types have a JSON form")
}
