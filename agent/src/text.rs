//! Names from the host, made fit for a report: a hostname or mount point out of hell must not make the backend refuse
//! the whole report.

/// Control characters become U+FFFD, and the text is cut at `max` bytes on a character's boundary.
pub fn clean(text: &str, max: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(max));
    for character in text.chars() {
        let character = if character.is_control() { char::REPLACEMENT_CHARACTER } else { character };
        if clean.len() + character.len_utf8() > max {
            break;
        }
        clean.push(character);
    }
    clean
}

/// As [`clean`], and never empty: `instead` stands in.
pub fn clean_or(text: &str, max: usize, instead: &str) -> String {
    let clean = clean(text.trim(), max);
    if clean.is_empty() { instead.to_owned() } else { clean }
}

/// Cuts at `max` characters, with an ellipsis where something is missing.
pub fn shorten(text: &str, max: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().count() <= max {
        return text;
    }
    text.chars().take(max - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_replaced_and_length_is_bounded() {
        assert_eq!(clean("a\nb\0\u{85}", 255), "a\u{fffd}b\u{fffd}\u{fffd}");
        assert_eq!(clean("é".repeat(200).as_str(), 255).len(), 254);
        assert!(clean(&"\u{1b}".repeat(4096), 255).len() <= 255);
        assert_eq!(clean_or(" \t", 9, "unknown"), "unknown");
        assert_eq!(shorten("abcdef", 4), "abc…");
        assert_eq!(shorten("a\nb", 4), "a b");
    }
}
