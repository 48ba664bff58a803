//! What scripts fetch is pinned: pip takes nothing without a hash, cargo nothing without a version and its lock file, a workflow
//! nothing by a name that can be moved.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::workspace;

/// What is wrong with a script, by line of what it calls.
fn loose(script: &str) -> Vec<String> {
    let joined = script.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.trim_start().starts_with('#'));
    let commands = lines.flat_map(|line| line.split([';', '|', '&', '`'])).map(str::trim);
    commands.filter_map(|command| Some(format!("{}: {command}", wrong(command)?))).collect()
}

fn wrong(command: &str) -> Option<&'static str> {
    let words: Vec<&str> = command.split_whitespace().map(|word| word.trim_matches(['"', '\'', '$', '(', ')', '@'])).collect();
    let has = |wanted: &str| words.contains(&wanted);
    if installs(&words, &["pip", "pip3", "pipx"]) && !has("--require-hashes") {
        return Some("pip without --require-hashes");
    }
    if installs(&words, &["cargo"]) && !(has("--locked") && (has("--version") || words.iter().any(|word| word.contains('@')))) {
        return Some("cargo install without --locked and a version");
    }
    let action = command.trim_start_matches("- ").strip_prefix("uses:")?.split_whitespace().next()?;
    let commit = action.split_once('@').map_or("", |(_, commit)| commit);
    let is_commit = commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    (!action.starts_with("./") && !is_commit).then_some("an action without its commit")
}

/// Whether one of these programs is called to install: the first word after it that is no option.
fn installs(words: &[&str], programs: &[&str]) -> bool {
    let after = words.iter().position(|word| programs.iter().any(|program| word.rsplit(['/', '(', '=']).next() == Some(program)));
    let mut rest = after.map_or(&[][..], |at| &words[at + 1..]).iter();
    rest.find(|word| !word.starts_with(['-', '+'])).is_some_and(|word| *word == "install")
}

/// Scripts, the Makefile and what the forge runs.
fn scripts() -> Vec<PathBuf> {
    let root = workspace();
    let mut found = vec![root.join("Makefile")];
    for folder in [".ci", ".github", "agent", "api", "debian", "rpm", "tests", "fuzz"] {
        add_scripts(&root.join(folder), &mut found);
    }
    found
}

fn add_scripts(folder: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            add_scripts(&path, found);
        } else if is_script(&path) {
            found.push(path);
        }
    }
}

fn is_script(path: &Path) -> bool {
    let ending = path.extension().is_some_and(|ending| ["sh", "yml", "yaml", "py"].iter().any(|known| ending == *known));
    ending || fs::read(path).is_ok_and(|text| text.starts_with(b"#!"))
}

#[test]
fn what_scripts_fetch_is_pinned() {
    let scripts = scripts();
    assert!(scripts.iter().any(|path| path.ends_with("debian/tools")), "{scripts:?}");
    let of_script = |path: &PathBuf| {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        loose(&text).into_iter().map(|wrong| format!("{}: {wrong}", path.display())).collect::<Vec<_>>()
    };
    let loose: Vec<String> = scripts.iter().flat_map(of_script).collect();
    assert!(loose.is_empty(), "{}", loose.join("\n"));
}

#[test]
fn seeded_downloads_that_are_not_pinned_are_found() {
    for bad in [
        "pip install typos==1.52.0",
        "x/bin/python -m pip --quiet install \\\n\t--only-binary :all: typos",
        "true && cargo install typos@1.52.0",
        "cargo +stable install --locked typos",
        "said=$(pip install typos)",
        "      - uses: actions/checkout@v4",
    ] {
        assert_eq!(loose(bad).len(), 1, "{bad}");
    }
    let good = "# pip install typos\n\
                \"$dir/bin/python\" -m pip install --require-hashes --requirement list || fail \"pip could not install\"\n\
                [ -e x ] || { \\\n cargo install --root \"$(tools)\" --locked \"$1@$2\"; }\n\
                apt-get install cargo\n\
                - uses: actions/checkout@0123456789abcdef0123456789abcdef01234567 # v4\n";
    assert_eq!(loose(good), [""; 0]);
}
