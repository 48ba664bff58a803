//! Which rooms may name the libraries of the outside world.

use crate::{
    document, library,
    modules::{Crate, Foreign},
    rooms::Rooms,
    seeded,
};

/// Makes a statement: only `store` holds SQL.
fn is_query(path: &str) -> bool {
    path.starts_with("sqlx::query") || path.ends_with("QueryBuilder") || path.contains("QueryBuilder::")
}

/// What speaks HTTP, which rules and foundation are free of. Foundation knows that a database can fail.
fn speaks_outside(path: &str) -> bool {
    ["poem::", "poem_openapi::"].iter().any(|library| path.starts_with(library))
}

fn violations(krate: &Crate, rooms: &Rooms) -> Vec<String> {
    let violation = |Foreign { room, file, path }: Foreign| {
        let file = file.display();
        if room != "store" && is_query(&path) {
            Some(format!("{file}: SQL outside of store: {path}"))
        } else if (room == "domain" || rooms.is_foundation(&room)) && speaks_outside(&path) {
            Some(format!("{file}: {room} is free of HTTP, and names {path}"))
        } else {
            None
        }
    };
    krate.foreign().into_iter().filter_map(violation).collect()
}

#[test]
fn sql_stands_in_store_and_foundation_speaks_no_http() {
    let broken = violations(&library("api"), &Rooms::read(&document("ARCHITECTURE.md"), "The backend's rooms"));
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn seeded_sql_and_http_are_found() {
    let seeded = |files: &[(&str, &str)]| violations(&seeded::krate(files), &seeded::table());
    assert_eq!(seeded(&[("store.rs", "use sqlx::QueryBuilder; fn f() { sqlx::query(\"SELECT 1\"); }")]), [""; 0]);
    assert_eq!(
        seeded(&[("usecase.rs", "fn f(e: sqlx::Error) { on!(sqlx::query_as(\"\")); }")]),
        ["usecase.rs: SQL outside of store: sqlx::query_as"]
    );
    assert_eq!(
        seeded(&[("usecase.rs", "use sqlx::{QueryBuilder, Row};")]),
        ["usecase.rs: SQL outside of store: sqlx::QueryBuilder"]
    );
    assert_eq!(
        seeded(&[("error.rs", "use poem::Response; fn f(e: sqlx::Error) {}")]),
        ["error.rs: error is free of HTTP, and names poem::Response"]
    );
}
