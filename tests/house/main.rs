//! The rules of the house, checked on the sources and on the documents that state them.

mod circles;
mod constants;
mod documents;
mod downloads;
mod lines;
mod links;
mod manifests;
mod modules;
mod outside;
mod rooms;
mod seeded;
mod syntax;
mod tables;

use std::{
    fs,
    path::{Path, PathBuf},
};

use modules::{Crate, sources};
use rooms::Rooms;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn document(name: &str) -> String {
    fs::read_to_string(workspace().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// A crate by the root that holds its modules.
fn library(name: &str) -> Crate {
    let sources = sources(&workspace().join(name).join("src"));
    let root = if sources.contains_key(Path::new("lib.rs")) { "lib.rs" } else { "main.rs" };
    Crate::read(&sources, root)
}

/// Holds a crate against its table in ARCHITECTURE.md, which follows the line with `mark`.
fn assert_rooms(name: &str, mark: &str) {
    let (krate, rooms) = (library(name), Rooms::read(&document("ARCHITECTURE.md"), mark));
    let broken = rooms.violations(&krate, &krate.arrows());
    assert!(broken.is_empty(), "{name}:\n{}", broken.join("\n"));
}

#[test]
fn every_room_of_the_backend_imports_only_what_it_may() {
    assert_rooms("api", "The backend's rooms");
}

#[test]
fn every_room_of_the_agent_imports_only_what_it_may() {
    assert_rooms("agent", "The agent's rooms");
}

#[test]
fn no_files_form_a_circle() {
    let circles = |name| circles::circles(&library(name).arrows()).into_iter().map(move |circle| format!("{name}: {circle}"));
    let found: Vec<String> = ["api", "agent", "protocol"].into_iter().flat_map(circles).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_openapi_document_is_the_generated_one() {
    let checked_in = fs::read_to_string(workspace().join("openapi/openapi.json")).unwrap_or_default();
    assert!(checked_in == osm_api::document(), "openapi/openapi.json is out of date: run `make openapi` and commit what changed");
}
