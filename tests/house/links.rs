//! Links of the documents: every relative one leads to a file, and to a heading where it names one.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::workspace;

/// A link as it stands in a document.
struct Link {
    to: String,
    line: usize,
}

fn documents(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a folder").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != ".git" {
            found.extend(documents(&path));
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
    found
}

/// The links of a text, `[words](target)`, but for those in blocks of code.
fn links(text: &str) -> Vec<Link> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code || line.starts_with("    ") {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.map(|to| Link { to: to.to_owned(), line: number + 1 }));
    }
    found
}

/// The anchors that GitHub gives the headings of a text: small letters, spaces to hyphens, other punctuation dropped.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    };
    headings.map(anchor).collect()
}

/// What is wrong with the links of one document.
fn broken(document: &Path, text: &str) -> Vec<String> {
    let wrong = |link: &Link| {
        if link.to.contains("://") || link.to.starts_with("mailto:") {
            return false;
        }
        let (path, anchor) = link.to.split_once('#').map_or((link.to.as_str(), None), |(path, anchor)| (path, Some(anchor)));
        let file = if path.is_empty() { document.to_owned() } else { document.with_file_name("").join(path) };
        match anchor {
            None => !file.exists(),
            Some(anchor) => !fs::read_to_string(file).is_ok_and(|text| anchors(&text).iter().any(|known| known == anchor)),
        }
    };
    links(text).into_iter().filter(wrong).map(|link| format!("{}:{}: {}", document.display(), link.line, link.to)).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents(&workspace());
    assert!(documents.len() >= 5, "{documents:?}");
    let broken: Vec<String> =
        documents.iter().flat_map(|path| broken(path, &fs::read_to_string(path).expect("a document"))).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_seeded_broken_link_is_found() {
    let document = workspace().join("README.md");
    let text =
        "See [a](SECURITY.md), [b](SECURITY.md#no-such-heading), [c](nowhere.md), [d](https://example.org/x).\n    [e](code.md)";
    let found: Vec<String> =
        broken(&document, text).iter().map(|line| line.rsplit(": ").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(found, ["SECURITY.md#no-such-heading", "nowhere.md"]);
    assert_eq!(anchors("## If it is stolen\n# `make run`, twice"), ["if-it-is-stolen", "make-run-twice"]);
}
