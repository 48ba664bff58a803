//! Tables of Markdown documents, as rows of cells.

/// The rows of the first table after the line with `mark`, without its head.
pub fn after(document: &str, mark: &str) -> Vec<Vec<String>> {
    let mut lines = document.lines().skip_while(|line| !line.contains(mark)).skip(1);
    assert!(lines.clone().next().is_some(), "the document has no line with {mark:?} any more");
    let table = lines.by_ref().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    // The head, and the line below it.
    let rows: Vec<Vec<String>> = table.skip(2).map(cells).collect();
    assert!(!rows.is_empty(), "no table follows {mark:?}");
    rows
}

/// Cells are split by bars; an escaped one belongs to its cell.
fn cells(line: &str) -> Vec<String> {
    let held = line.trim().trim_matches('|').replace("\\|", "\u{0}");
    held.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// What stands in backticks.
pub fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}
