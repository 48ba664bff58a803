//! Answers as lines for people, and as JSON. Names come from hosts: whatever could move a terminal is taken out of lines.

use std::io::{Write as _, stdout};

use serde::Serialize;

use crate::{domain::Millis, zone::Zone};

/// How an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Lines,
    Json,
}

/// What a command answers, in both forms.
pub struct Answer {
    json: String,
    lines: Vec<String>,
}

impl Answer {
    pub fn new(json: &impl Serialize, lines: Vec<String>) -> anyhow::Result<Self> {
        Ok(Self { json: serde_json::to_string(json)?, lines })
    }

    pub fn print(&self, form: Form) -> anyhow::Result<()> {
        let mut out = stdout().lock();
        match form {
            Form::Json => writeln!(out, "{}", self.json)?,
            Form::Lines => {
                for line in &self.lines {
                    writeln!(out, "{}", clean(line))?;
                }
            }
        }
        Ok(())
    }
}

/// A moment in JSON: RFC 3339, in UTC.
pub fn moment(at: Millis) -> String {
    Zone::utc().rfc3339(at)
}

/// A moment in a line.
pub fn shown(at: Millis) -> String {
    Zone::utc().moment(at)
}

/// Lays rows out in columns, under their names.
pub fn table(names: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let all: Vec<Vec<String>> =
        std::iter::once(&names).chain(rows).map(|row| row.iter().map(|cell| clean(cell)).collect()).collect();
    let widths: Vec<usize> = (0..names.len())
        .map(|column| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    all.iter().map(line).collect()
}

/// Takes out what could move a terminal or turn its text around.
fn clean(text: &str) -> String {
    let is_hostile =
        |c: char| c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if is_hostile(c) { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_their_names_and_nothing_moves_the_terminal() {
        let rows = [vec!["web-1".to_owned(), "1001".to_owned()], vec!["d\u{1b}]52;b\u{202e}".to_owned(), "7".to_owned()]];
        assert_eq!(table(&["NAME", "CHAT"], &rows), ["NAME      CHAT", "web-1     1001", "d\u{fffd}]52;b\u{fffd}  7"]);
    }

    #[test]
    fn moments_are_of_utc() {
        assert_eq!((moment(1_800_000_000_000), shown(0)), ("2027-01-15T08:00:00Z".to_owned(), "1970-01-01 00:00 UTC".to_owned()));
    }
}
