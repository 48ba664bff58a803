//! The catalogue of texts (`locales/`), and what strings of hosts and people go through before they are shown.
//!
//! Keys are kebab-case with at least one hyphen, and nothing else in this folder is written so: a test holds the string
//! literals of the sources against the catalogue, so a missing text cannot ship. Texts named `button-*`, `toast-*` and
//! `command-*` are plain; all others are Telegram's HTML, and their arguments have to be escaped.

use std::{borrow::Cow, collections::HashMap};

use fluent_templates::{LanguageIdentifier, Loader, fluent_bundle::FluentValue, langid, static_loader};

static_loader! {
    static CATALOGUE = {
        locales: "./locales",
        fallback_language: "en",
        // Or every argument comes wrapped in U+2068 and U+2069, which break what people copy out of a message.
        customise: |bundle| bundle.set_use_isolating(false),
    };
}

const FALLBACK: LanguageIdentifier = langid!("en");

/// The catalogue in one person's language; English where that is not offered or lacks a text.
#[derive(Clone, Debug)]
pub struct Text {
    language: LanguageIdentifier,
}

impl Text {
    /// `language`: an IETF tag as Telegram sends it, such as `pt-br`.
    pub fn new(language: Option<&str>) -> Self {
        Self { language: language.and_then(|tag| tag.parse().ok()).unwrap_or(FALLBACK) }
    }

    pub fn get(&self, key: &str) -> String {
        self.with(key, &[])
    }

    pub fn with(&self, key: &str, arguments: &[(&'static str, FluentValue<'_>)]) -> String {
        let arguments: HashMap<Cow<'static, str>, FluentValue<'_>> =
            arguments.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())).collect();
        let text = CATALOGUE.try_lookup_with_args(&self.language, key, &arguments);
        debug_assert!(text.is_some(), "the catalogue lacks {key}, or {key} needs more than {:?}", arguments.keys());
        text.unwrap_or_else(|| key.to_owned())
    }
}

/// `value` on one line, without what is invisible or turns the reading direction around, and at most `max` characters
/// long, the last a "…" where something was cut off. Never empty.
pub fn printable(value: &str, max: usize) -> String {
    // Two more tell whether there is more: a space and what follows it.
    let mut shown = visible(value, max + 2);
    if shown.is_empty() {
        return "?".to_owned();
    }
    if shown.chars().count() > max {
        shown = shown.chars().take(max.saturating_sub(1)).collect();
        shown.push('…');
    }
    shown
}

/// The first `max` characters of `value`, with white space as single spaces, and without the characters that have no
/// business in a name.
pub fn visible(value: &str, max: usize) -> String {
    let (mut shown, mut length, mut gap) = (String::new(), 0, false);
    for c in value.chars() {
        if c.is_whitespace() {
            gap = length > 0;
            continue;
        }
        if is_invisible(c) {
            continue;
        }
        let needed = if gap { 2 } else { 1 };
        if length + needed > max {
            break;
        }
        if std::mem::take(&mut gap) {
            shown.push(' ');
        }
        shown.push(c);
        length += needed;
    }
    shown
}

/// Control characters, bidirectional marks, overrides and isolates, zero-width spaces. Joiners stay: emoji need them.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    const ENGLISH: &str = include_str!("../../locales/en/main.ftl");
    /// The code of every file of this room, without tests.
    fn sources(dir: &Path) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                found.extend(sources(&path));
            } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("update_tests.rs") {
                let source = fs::read_to_string(path).unwrap();
                found.push(source.split("#[cfg(test)]").next().unwrap_or_default().to_owned());
            }
        }
        found
    }

    fn catalogue() -> BTreeSet<String> {
        let ids = ENGLISH.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_lowercase()));
        ids.filter_map(|line| line.split_once(" =")).map(|(id, _)| id.to_owned()).collect()
    }

    /// The string literals that are written like keys, but for the names of commits and crash points.
    fn used() -> BTreeSet<String> {
        let code = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/telegram")).join("\n");
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let lines = lines.filter(|line| !line.contains(".commit(") && !line.contains("crash::point("));
        let literals = lines.flat_map(|line| line.split('"').skip(1).step_by(2));
        literals.filter(|literal| is_key(literal)).map(str::to_owned).collect()
    }

    fn is_key(literal: &str) -> bool {
        literal.contains('-')
            && literal.starts_with(|c: char| c.is_ascii_lowercase())
            && literal.ends_with(|c: char| c.is_ascii_alphanumeric())
            && literal.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
    }

    #[test]
    fn the_code_and_the_catalogue_have_the_same_keys() {
        let (used, offered) = (used(), catalogue());
        assert_eq!(used.difference(&offered).collect::<Vec<_>>(), Vec::<&String>::new(), "used, but not in the catalogue");
        assert_eq!(offered.difference(&used).collect::<Vec<_>>(), Vec::<&String>::new(), "in the catalogue, but not used");
        assert!(used.len() > 100, "the scan found only {} keys", used.len());
    }

    #[test]
    fn every_key_of_the_catalogue_has_the_form_that_the_scan_finds() {
        for key in catalogue() {
            assert!(is_key(&key), "{key}");
        }
    }

    #[test]
    fn unknown_and_broken_languages_are_answered_in_english() {
        let english = Text::new(Some("en")).get("button-help");
        for tag in [None, Some("en-GB"), Some("tlh"), Some(""), Some("not a tag"), Some("\0")] {
            assert_eq!(Text::new(tag).get("button-help"), english, "{tag:?}");
        }
    }

    #[test]
    fn arguments_are_not_wrapped_in_isolates() {
        let text = Text::new(None).with("button-show", &[("server", "web-1".into())]);
        assert!(text.contains("web-1") && !text.contains(['\u{2068}', '\u{2069}']), "{text:?}");
    }

    #[test]
    fn what_hides_or_reorders_text_is_dropped() {
        assert_eq!(printable("a\0b\u{1b}[2J\u{202e}c\u{2066}d\u{200b}", 64), "ab[2Jcd");
        assert_eq!(printable(" two\n\twords ", 64), "two words");
        assert_eq!(printable("\u{202e}\0", 64), "?");
        assert_eq!(printable("👩\u{200d}💻 שלום", 64), "👩\u{200d}💻 שלום");
    }

    #[test]
    fn what_is_too_long_is_cut_between_words_or_characters() {
        assert_eq!(visible("ab cd", 2), "ab");
        assert_eq!(visible("ab cd", 3), "ab");
        assert_eq!(visible("ab cd", 4), "ab c");
        assert_eq!(visible(" ab\0 cd ", 64), "ab cd");
    }

    #[test]
    fn long_values_end_in_an_ellipsis() {
        assert_eq!(printable("abcdef", 6), "abcdef");
        assert_eq!(printable("abcdefg", 6), "abcde…");
        assert_eq!(printable("abcde f", 6), "abcde…");
        assert_eq!(printable("abcdef g", 6), "abcde…");
        assert_eq!(printable(&"🦀".repeat(4096), 8).chars().count(), 8);
    }
}
