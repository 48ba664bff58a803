//! Texts made fit for a report, a log line or a person: a hostname or mount point out of hell must not make the backend refuse
//! the whole report.

/// Replaces control characters by U+FFFD, and cuts at `max` bytes on a character's boundary.
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

/// Cleans like [`clean`], and puts `instead` where nothing is left.
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

/// Prints a line for a person; takes what `println!` takes.
///
/// Names come from backends and files that others can write: no control character of theirs gets to the terminal, where it could
/// write to the clipboard or type.
macro_rules! say {
    ($($words:tt)*) => { $crate::text::print(&format!($($words)*)) };
}

/// Prints a line on standard error, like [`say`].
macro_rules! complain {
    ($($words:tt)*) => { $crate::text::print_error(&format!($($words)*)) };
}
pub(crate) use {complain, say};

#[expect(clippy::print_stdout, reason = "this is the one way to standard output")]
pub fn print(line: &str) {
    println!("{}", printable(line));
}

#[expect(clippy::print_stderr, reason = "this is the one way to standard error")]
pub fn print_error(line: &str) {
    eprintln!("{}", printable(line));
}

/// Leaves line breaks, and puts U+FFFD for every other control character and for what turns the direction of writing.
fn printable(line: &str) -> String {
    let is_acted_upon = |c: char| c.is_control() && c != '\n' || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    line.chars().map(|c| if is_acted_upon(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Says a length of time to a person, in the largest fitting unit and without a sign.
pub fn duration(ms: i64) -> String {
    let seconds = ms.unsigned_abs().div_ceil(1000);
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} minutes", seconds / 60),
        7_200..172_800 => format!("{} hours", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Finding 10: OSC 52 writes to the clipboard; C1 characters begin sequences too.
    #[test]
    fn nothing_that_a_terminal_acts_upon_is_printed() {
        assert_eq!(
            printable("web\u{1b}]52;c;eA==\u{7}\nnext\tline\r\u{9b}31m\u{7f}é\u{202e}"),
            "web\u{fffd}]52;c;eA==\u{fffd}\nnext\u{fffd}line\u{fffd}\u{fffd}31m\u{fffd}é\u{fffd}"
        );
    }

    #[test]
    fn a_length_of_time_is_said_in_the_largest_fitting_unit() {
        for (ms, said) in [
            (0, "0 s"),
            (1, "1 s"),
            (-1_500, "2 s"),
            (119_000, "119 s"),
            (119_001, "2 minutes"),
            (7_199_000, "119 minutes"),
            (7_200_000, "2 hours"),
            (-172_800_000, "2 days"),
            (i64::MIN, "106751991167 days"),
        ] {
            assert_eq!(duration(ms), said, "{ms}");
        }
    }

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
