//! The rules of the house, checked on the sources: who may import whom (ARCHITECTURE.md), one owner for each side effect, and that
//! the checked-in OpenAPI document is the one the backend generates.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Modules of osm-api that everything but `domain` and `store` may use.
const FOUNDATION: &[&str] = &["body", "clock", "config", "crash", "error", "keys", "packages", "zone"];

/// What a room of osm-api may import of its own crate, besides itself.
fn allowed(room: &str) -> Vec<&'static str> {
    let rooms: &[&str] = match room {
        "domain" | "crash" => return vec![],
        "clock" | "config" | "error" | "packages" | "zone" => return vec!["domain"],
        "keys" => return vec!["config", "domain"],
        "body" => return vec!["error"],
        "store" => return vec!["domain", "crash"],
        "usecase" => &["domain", "store"],
        "http" | "telegram" | "jobs" => &["domain", "store", "usecase"],
        // lib.rs and main.rs put the rooms together.
        "lib" | "main" => return vec!["*"],
        new => panic!("say in this table, and in ARCHITECTURE.md, what {new} may import"),
    };
    [rooms, FOUNDATION].concat()
}

/// The first segment of every `crate::` path in a source, groups taken apart.
fn imports(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let code: String = source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let preceded = code[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$');
        if preceded {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            found.extend(first_segments(group));
        } else {
            found.insert(segment(rest));
        }
    }
    found
}

/// The first segments of a `{…}` group, up to its closing brace.
fn first_segments(group: &str) -> Vec<String> {
    let mut segments = Vec::new();
    let (mut depth, mut fresh) = (0, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => fresh = true,
            _ if fresh && (c.is_alphabetic() || c == '_') => {
                segments.push(segment(&group[at..]));
                fresh = false;
            }
            _ => {}
        }
    }
    segments
}

fn segment(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// What breaks the import rules in one source of osm-api.
fn violations(room: &str, source: &str) -> Vec<String> {
    let allowed = allowed(room);
    imports(source)
        .into_iter()
        .filter(|import| import != room && !allowed.contains(&"*") && !allowed.contains(&import.as_str()))
        .map(|import| format!("{room} imports {import}"))
        .collect()
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder of sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_room_imports_only_what_it_may() {
    let src = workspace().join("api/src");
    let files = sources(&src);
    assert!(files.len() > 30, "the sources of osm-api are not where they were");
    let mut broken = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).expect("a source of osm-api");
        let first = relative.components().next().expect("a name").as_os_str().to_string_lossy();
        let room = first.trim_end_matches(".rs");
        let source = fs::read_to_string(&file).expect("a source");
        broken.extend(violations(room, &source).into_iter().map(|violation| format!("{}: {violation}", relative.display())));
        if room != "store" && (source.contains("sqlx::query") || source.contains("QueryBuilder")) {
            broken.push(format!("{}: SQL outside of store", relative.display()));
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_seeded_violation_is_found() {
    assert_eq!(violations("domain", "use crate::store::Tx;"), ["domain imports store"]);
    assert_eq!(
        violations("store", "use crate::{\n    domain::Millis,\n    usecase::{Core, tell},\n};"),
        ["store imports usecase"]
    );
    assert_eq!(violations("http", "fn f() { crate::telegram::send(); }"), ["http imports telegram"]);
    assert_eq!(violations("jobs", "use crate::{http::Http, telegram::bot};"), ["jobs imports http", "jobs imports telegram"]);
    assert!(violations("usecase", "use crate::{domain::{a, b}, store::{self, Tx}, usecase::Core, error::Result};").is_empty());
    assert!(violations("domain", "// crate::store is not used here").is_empty());
}

#[test]
fn backend_and_agent_never_import_each_other() {
    let manifest = |crate_dir: &str| fs::read_to_string(workspace().join(crate_dir).join("Cargo.toml")).expect("a manifest");
    assert!(!manifest("api").contains("osm-agent.") && !manifest("agent").contains("osm-api"));
    let protocol = manifest("protocol");
    assert!(
        !protocol.contains("osm-api.") && !protocol.contains("osm-agent.") && !protocol.contains("tokio"),
        "the protocol has no I/O"
    );
}

#[test]
fn there_is_one_tls_and_one_crypto_library() {
    let lock = fs::read_to_string(workspace().join("Cargo.lock")).expect("Cargo.lock");
    let versions = |name: &str| lock.matches(&format!("name = \"{name}\"\n")).count();
    assert_eq!((versions("rustls"), versions("ring")), (1, 1));
    for other in ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys"] {
        assert_eq!(versions(other), 0, "{other}");
    }
}

#[test]
fn the_openapi_document_is_the_generated_one() {
    let checked_in = fs::read_to_string(workspace().join("openapi/openapi.json")).unwrap_or_default();
    assert!(checked_in == osm_api::document(), "openapi/openapi.json is out of date: run `make openapi` and commit what changed");
}
