//! A migration on a database in use: every row of every table is as it was.

use std::path::Path;

use osm_api::store::Store;
use osm_tests::{
    database::{self, Engine},
    story,
};

/// What `tests/data/rows.sql` puts into every table at least.
const ROWS: usize = 2;

story!(a_migration_leaves_every_row_as_it_was, |engine| {
    let dir = tempfile::tempdir().unwrap();
    let database = Database { engine, url: database::fresh(engine, dir.path()).await.unwrap() };
    Store::open(&database.url).await.unwrap().close().await;
    database::execute(&database.url, include_str!("../data/rows.sql")).await.unwrap();
    let before = database.tables().await;
    for table in &before {
        assert_filled(table);
    }
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/migrations");
    database::migrate(&database.url, &migrations).await.unwrap();
    let columns = database.columns("servers").await;
    assert!(columns.contains(&"note".to_owned()), "the migration made for this story did not run: {columns:?}");
    for table in before {
        let rows = database.rows(&table.name, &table.columns).await;
        assert_eq!(rows, table.rows, "{} after the migration", table.name);
    }
});

struct Table {
    name: String,
    columns: Vec<String>,
    rows: Rows,
}

/// Each value as the engine's own text of it.
type Rows = Vec<Vec<Option<String>>>;

fn assert_filled(Table { name, columns, rows }: &Table) {
    assert!(rows.len() >= ROWS, "tests/data/rows.sql has {} rows for {name}, and is to have {ROWS} at least", rows.len());
    let filled = |column: usize| rows.iter().any(|row| row[column].as_ref().is_some_and(|value| value != "NULL"));
    for (index, column) in columns.iter().enumerate() {
        assert!(filled(index), "tests/data/rows.sql has a value for {name}.{column} in no row");
    }
}

struct Database {
    engine: Engine,
    url: String,
}

impl Database {
    /// All tables of ours.
    async fn tables(&self) -> Vec<Table> {
        let query = match self.engine {
            Engine::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            Engine::Postgres => "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = 'public'",
        };
        let mut tables = Vec::new();
        for name in self.texts(query).await.into_iter().filter(|name| name != "_sqlx_migrations") {
            let columns = self.columns(&name).await;
            let rows = self.rows(&name, &columns).await;
            tables.push(Table { name, columns, rows });
        }
        assert!(tables.len() > 10, "the schema's tables are not found");
        tables
    }

    async fn columns(&self, table: &str) -> Vec<String> {
        self.texts(&match self.engine {
            Engine::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
            Engine::Postgres => format!(
                "SELECT CAST(column_name AS TEXT) FROM information_schema.columns
                 WHERE table_schema = 'public' AND table_name = '{table}' ORDER BY ordinal_position"
            ),
        })
        .await
    }

    async fn rows(&self, table: &str, columns: &[String]) -> Rows {
        let value = |column: &String| match self.engine {
            Engine::Sqlite => format!("quote(\"{column}\")"),
            Engine::Postgres => format!("CAST(\"{column}\" AS TEXT)"),
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let mut rows = database::texts(&self.url, &format!("SELECT {} FROM \"{table}\"", values.join(", "))).await.unwrap();
        rows.sort();
        rows
    }

    /// A query of one column that is never null.
    async fn texts(&self, query: &str) -> Vec<String> {
        database::texts(&self.url, query).await.unwrap().into_iter().flatten().flatten().collect()
    }
}
