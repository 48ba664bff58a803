//! A migration on a database in use: every row of every table is as it was.

use std::path::Path;

use osm_api::store::Store;
use osm_tests::{
    database::{self, Table},
    story,
};

/// What `tests/data/rows.sql` puts into every table at least.
const ROWS: usize = 2;

story!(a_migration_leaves_every_row_as_it_was, |engine| {
    let dir = tempfile::tempdir().unwrap();
    let url = database::fresh(engine, dir.path()).await.unwrap();
    Store::open(&url).await.unwrap().close().await;
    database::execute(&url, include_str!("../data/rows.sql")).await.unwrap();
    let before = database::tables(&url).await.unwrap();
    for table in &before {
        assert_filled(table);
    }
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/migrations");
    database::migrate(&url, &migrations).await.unwrap();
    let columns = database::columns(&url, "servers").await.unwrap();
    assert!(columns.contains(&"note".to_owned()), "the migration made for this story did not run: {columns:?}");
    for table in before {
        let rows = database::all_rows(&url, &table.name, &table.columns).await.unwrap();
        assert_eq!(rows, table.rows, "{} after the migration", table.name);
    }
});

fn assert_filled(Table { name, columns, rows }: &Table) {
    assert!(rows.len() >= ROWS, "tests/data/rows.sql has {} rows for {name}, and is to have {ROWS} at least", rows.len());
    let filled = |column: usize| rows.iter().any(|row| row[column].as_ref().is_some_and(|value| value != "NULL"));
    for (index, column) in columns.iter().enumerate() {
        assert!(filled(index), "tests/data/rows.sql has a value for {name}.{column} in no row");
    }
}
