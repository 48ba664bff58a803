//! Lines that rustfmt does not see, in comments and in macros, are no longer than those that it does.

use crate::{modules::sources, workspace};

/// As rustfmt.toml has it.
const WIDTH: usize = 130;

/// Tables and texts are as long as they are.
fn is_too_long(line: &str) -> bool {
    let is_text = line.contains('"') || !line.contains(';') && !line.trim_start().starts_with("//");
    line.chars().count() > WIDTH && !line.trim_start().starts_with("//! |") && !is_text
}

#[test]
fn no_line_is_longer_than_rustfmt_would_make_it() {
    let mut long = Vec::new();
    for folder in ["protocol/src", "api/src", "agent/src", "tests"] {
        for (path, source) in sources(&workspace().join(folder)) {
            let lines = (1..).zip(source.lines()).filter(|(_, line)| is_too_long(line));
            long.extend(lines.map(|(number, _)| format!("{folder}/{}:{number}", path.display())));
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn a_seeded_long_line_is_found() {
    assert!(is_too_long(&format!("// {}", "word ".repeat(30))));
    assert!(!is_too_long(&format!("//! | {} |", "word ".repeat(30))));
}
