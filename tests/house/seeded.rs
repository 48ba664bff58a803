//! Violations on purpose, on made-up sources: each kind is found, and what is allowed is not.

use std::path::{Path, PathBuf};

use crate::{
    circles::circles,
    modules::{Crate, Sources},
    rooms::Rooms,
};

const TABLE: &str = "
Rooms:

| room | what | may import of its own crate |
|---|---|---|
| `crash` | foundation: crash points | nothing |
| `domain/` | rules | nothing |
| `clock`, `error` | foundation: small things | `domain` |
| `store/` | SQL | `domain`, `crash` |
| `usecase/` | what happens | `domain`, `store`, foundation |
| `lib.rs` | puts them together | everything |
";

const ROOT: &str = "mod clock; mod crash; mod domain; mod error; mod store; mod usecase; pub use store::Tx;";

fn sources(files: &[(&str, &str)]) -> Sources {
    let empty = ["clock.rs", "crash.rs", "domain.rs", "error.rs", "store.rs", "usecase.rs"].map(|file| (file, ""));
    let own = |file: &str| {
        files.iter().any(|(own, _)| *own == file || own.strip_suffix("/mod.rs").is_some_and(|own| file == format!("{own}.rs")))
    };
    let rest = empty.into_iter().filter(|(file, _)| !own(file));
    rest.chain([("lib.rs", ROOT)])
        .chain(files.iter().copied())
        .map(|(file, text)| (PathBuf::from(file), text.to_owned()))
        .collect()
}

pub fn krate(files: &[(&str, &str)]) -> Crate {
    Crate::read(&sources(files), "lib.rs")
}

pub fn table() -> Rooms {
    Rooms::read(TABLE, "Rooms:")
}

fn broken(files: &[(&str, &str)]) -> Vec<String> {
    let krate = krate(files);
    table().violations(&krate, &krate.arrows())
}

fn in_circles(files: &[(&str, &str)]) -> Vec<String> {
    let first_line = |circle: String| circle.lines().next().unwrap_or_default().to_owned();
    circles(&krate(files).arrows()).into_iter().map(first_line).collect()
}

#[test]
fn an_import_that_the_table_does_not_allow_is_found() {
    assert_eq!(broken(&[("domain.rs", "use crate::store::Tx;")]), ["domain.rs: domain imports store, as crate::store::Tx"]);
    assert_eq!(
        broken(&[("store.rs", "use crate::{\n    domain::Millis,\n    usecase::{Core, tell},\n};")]),
        ["store.rs: store imports usecase, as crate::usecase::Core", "store.rs: store imports usecase, as crate::usecase::tell"]
    );
    assert_eq!(
        broken(&[("error.rs", "fn f() { crate::usecase::run(); }")]),
        ["error.rs: error imports usecase, as crate::usecase::run"]
    );
    assert_eq!(
        broken(&[("domain.rs", "fn f() { println!(\"{}\", g(crate::clock::now())); }")]),
        ["domain.rs: domain imports clock, as crate::clock::now"]
    );
}

#[test]
fn an_import_by_a_name_that_stands_for_a_room_is_found() {
    assert_eq!(
        broken(&[("domain.rs", "use crate::store; fn f() { store::begin(); }")]),
        ["domain.rs: domain imports store, as store::begin"]
    );
    assert_eq!(
        broken(&[("domain.rs", "use crate::store as rows; fn f(tx: rows::Tx) {}")]),
        ["domain.rs: domain imports store, as rows::Tx"]
    );
    assert_eq!(broken(&[("domain.rs", "use crate::Tx;")]), ["domain.rs: domain imports store, as crate::Tx"]);
    assert_eq!(broken(&[("domain.rs", "use crate::store::*;")]), ["domain.rs: domain imports store, as crate::store"]);
}

#[test]
fn super_must_not_leave_the_room() {
    assert_eq!(
        broken(&[("store.rs", "use super::domain::Millis;")]),
        ["store.rs: super::domain::Millis leaves the room store: begin it with crate::"]
    );
    let deep = [("store/mod.rs", "mod rows;"), ("store/rows.rs", "fn f() { super::super::usecase::run(); }")];
    assert_eq!(broken(&deep), ["store/rows.rs: store imports usecase, as super::super::usecase::run"]);
    let within = [("store/mod.rs", "mod rows; pub struct Tx;"), ("store/rows.rs", "mod inner { use super::super::Tx; }")];
    assert_eq!(broken(&within), [""; 0]);
}

#[test]
fn what_is_allowed_is_not_found() {
    let allowed = "
        //! crate::usecase is not used here.
        use crate::{domain::{a, b}, crash::point};
        #[cfg(test)]
        mod tests { use crate::usecase::Core; }
        #[cfg(test)]
        use crate::usecase::Core;
        #[cfg(test)]
        #[path = \"elsewhere.rs\"]
        mod more;
        fn f() { g(\"crate::usecase::Core\", sqlx::query()); }
    ";
    assert_eq!(broken(&[("store.rs", allowed)]), [""; 0]);
    assert_eq!(broken(&[("usecase.rs", "use crate::{clock::Clock, error::Result, store::{self, Tx}};")]), [""; 0]);
}

#[test]
fn a_room_without_a_row_and_a_row_without_a_room_are_found() {
    let mut sources = sources(&[]);
    sources.remove(Path::new("crash.rs"));
    sources.insert(PathBuf::from("lib.rs"), format!("{} mod query {{}}", ROOT.replace("mod crash;", "")));
    let krate = Crate::read(&sources, "lib.rs");
    assert_eq!(
        table().violations(&krate, &krate.arrows()),
        [
            "query is a new room: say in ARCHITECTURE.md what lives in it, and what it may import",
            "ARCHITECTURE.md has a room crash, and the crate has none of this name",
        ]
    );
}

#[test]
fn a_table_with_an_arrow_outwards_is_found() {
    let table = TABLE.replace("| `domain/` | rules | nothing |", "| `domain/` | rules | `usecase` |");
    let krate = krate(&[]);
    assert_eq!(
        Rooms::read(&table, "Rooms:").violations(&krate, &krate.arrows()),
        ["ARCHITECTURE.md lets domain import usecase, which does not stand above it in the table"]
    );
}

#[test]
fn circles_are_found_however_they_are_written() {
    let circle = ["a circle of store/a.rs, store/b.rs"];
    for [a, b] in [
        ["use crate::store::b::B;", "use crate::store::a::A;"],
        ["use super::b::B;", "fn f() { super::a::f(); }"],
        ["use crate::store::{self, Tx}; fn f() { store::b::f() }", "use crate::{domain::D, store::{a::{A, C}, Tx}};"],
        ["fn f() { matches!(x, crate::store::b::B::One) }", "use super::super::store::a; fn f() { a::f() }"],
        // By what the room passes on.
        ["use super::B;", "use super::a::A;"],
    ] {
        let room = "mod a; mod b; pub use b::B; pub struct Tx;";
        assert_eq!(in_circles(&[("store/mod.rs", room), ("store/a.rs", a), ("store/b.rs", b)]), circle, "{a} {b}");
    }
}

#[test]
fn a_circle_of_parent_and_child_is_found_and_declaring_or_passing_on_is_none() {
    let child = ("store/a.rs", "use super::Tx;");
    let passes_on = "mod a; pub use a::A; pub struct Tx;";
    assert_eq!(in_circles(&[("store/mod.rs", passes_on), child]), [""; 0]);
    for calls in
        ["mod a; pub struct Tx; fn f() { a::f(); }", "mod a; use a::A; pub struct Tx;", "mod a; pub struct Tx(self::a::A);"]
    {
        assert_eq!(in_circles(&[("store/mod.rs", calls), child]), ["a circle of store/a.rs, store/mod.rs"], "{calls}");
    }
}

#[test]
fn a_circle_of_three_is_one_circle_and_tests_close_none() {
    let room = ("usecase/mod.rs", "mod a; mod b; mod c;");
    let [a, b] = [("usecase/a.rs", "use super::b::B;"), ("usecase/b.rs", "use super::c::C;")];
    assert_eq!(
        in_circles(&[room, a, b, ("usecase/c.rs", "use super::a::A;")]),
        ["a circle of usecase/a.rs, usecase/b.rs, usecase/c.rs"]
    );
    assert_eq!(in_circles(&[room, a, b, ("usecase/c.rs", "#[cfg(test)] mod tests { use crate::usecase::a::A; }")]), [""; 0]);
}
