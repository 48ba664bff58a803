//! Well-formed HTML within Telegram's limits.

use teloxide::utils::html::escape;

use super::figures::Words;
use crate::telegram::text::printable;

/// Telegram's limit, in UTF-16 code units of what is left when the tags are taken out.
pub(super) const MESSAGE_MAX: usize = 4096;
/// Room for "and 12 more", in any language.
const RESERVE: usize = 96;
/// Lines on one page of a card. Telegram shows at most 100 tags of a message; a line has two or three.
const PAGE_LINES: usize = 30;
/// Text on one page of a card: lines of hostile length make it shorter, never too long.
const PAGE_TEXT: usize = 3000;

/// Lengths at which strings of hosts and people are cut off. Honest ones are shorter.
pub(super) mod width {
    pub(crate) const NAME: usize = 64;
    pub(crate) const UNIT: usize = 64;
    pub(crate) const MOUNT: usize = 48;
    pub(crate) const WORDS: usize = 80;
    /// A reason that a host gives.
    pub(crate) const REASON: usize = 160;
    /// `Outcome::DETAIL_MAX`.
    pub(crate) const DETAIL: usize = 500;
}

/// Gives a string of a host or a person, fit to stand in a message: visible, at most `max` characters, escaped.
pub(super) fn safe(value: &str, max: usize) -> String {
    escape(&printable(value, max))
}

/// Gives the same in the typeface of code, which a tap copies.
pub(super) fn code(value: &str, max: usize) -> String {
    format!("<code>{}</code>", safe(value, max))
}

/// Lines under a heading that is repeated when they go on over the page.
pub(super) struct Section {
    pub(super) heading: String,
    pub(super) lines: Vec<String>,
}

/// Spreads sections over pages, by whole lines. There is always one page.
pub(super) fn paginate(sections: &[Section]) -> Vec<Vec<String>> {
    let mut pages = Vec::new();
    let mut page = Page::default();
    for section in sections {
        for (index, line) in section.lines.iter().enumerate() {
            let starts_section = index == 0;
            // A heading does not stay behind alone at the end of a page.
            let needed = visible_len(line) + if starts_section { visible_len(&section.heading) + 2 } else { 1 };
            if page.is_full(needed) {
                pages.push(std::mem::take(&mut page).lines);
            }
            if starts_section || page.lines.is_empty() {
                page.push_heading(&section.heading);
            }
            page.push(line.clone());
        }
    }
    if !page.lines.is_empty() || pages.is_empty() {
        pages.push(page.lines);
    }
    pages
}

#[derive(Default)]
struct Page {
    lines: Vec<String>,
    length: usize,
}

impl Page {
    fn is_full(&self, needed: usize) -> bool {
        !self.lines.is_empty() && (self.lines.len() >= PAGE_LINES || self.length + needed > PAGE_TEXT)
    }

    fn push_heading(&mut self, heading: &str) {
        self.push(String::new());
        self.push(heading.to_owned());
    }

    fn push(&mut self, line: String) {
        self.length += visible_len(&line) + 1;
        self.lines.push(line);
    }
}

/// Gives the lines as one text; what does not fit is counted in a last line.
pub(super) fn fit(words: &Words, lines: &[String]) -> String {
    let mut length = 0;
    let fitting = lines.iter().take_while(|line| {
        length += visible_len(line) + 1;
        length <= MESSAGE_MAX - RESERVE
    });
    let mut fitting: Vec<&str> = fitting.map(String::as_str).collect();
    let left_out = lines.len() - fitting.len();
    let more = words.with("and-more", &[("count", left_out.into())]);
    if left_out > 0 {
        fitting.push(&more);
    }
    fitting.join("\n")
}

/// Gives the length that Telegram counts: UTF-16 code units without tags, a character reference as one.
pub(super) fn visible_len(html: &str) -> usize {
    let mut length = 0;
    let mut rest = html;
    while let Some(c) = rest.chars().next() {
        let end = match c {
            '<' => rest.find('>'),
            '&' => rest.find(';'),
            _ => None,
        };
        let (counted, step) = match (c, end) {
            ('<', Some(end)) => (0, end + 1),
            ('&', Some(end)) => (1, end + 1),
            _ => (c.len_utf16(), c.len_utf8()),
        };
        length += counted;
        rest = &rest[step..];
    }
    length
}

/// Gives what a text says without its markup, within Telegram's limit: what is no tag and no reference of ours stays as it
/// stands.
pub(super) fn plain(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some(c) = rest.chars().next() {
        let step = match c {
            '<' => tag(rest),
            '&' => REFERENCES.iter().find(|(name, _)| rest.starts_with(name)).map(|(name, meant)| {
                text.push(*meant);
                name.len()
            }),
            _ => None,
        };
        if step.is_none() {
            text.push(c);
        }
        rest = &rest[step.unwrap_or(c.len_utf8())..];
    }
    let mut length = 0;
    text.chars()
        .take_while(|c| {
            length += c.len_utf16();
            length <= MESSAGE_MAX
        })
        .collect()
}

const REFERENCES: [(&str, char); 4] = [("&lt;", '<'), ("&gt;", '>'), ("&amp;", '&'), ("&quot;", '"')];

/// Gives the length of the tag that a text begins with.
fn tag(html: &str) -> Option<usize> {
    let end = html.find('>')?;
    let name = html[1..end].trim_start_matches('/').split(' ').next().unwrap_or_default();
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_name.then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_markup_a_text_says_the_same() {
        assert_eq!(plain("<b>a</b> &lt;b&gt; &amp;amp; <a href=\"x\">c</a>"), "a <b> &amp; c");
        assert_eq!(plain("1 < 2 > 0 & <b"), "1 < 2 > 0 & <b");
        assert_eq!(plain(&"🦀".repeat(3000)).encode_utf16().count(), 4096);
    }

    fn section(heading: &str, count: usize, line: &str) -> Section {
        Section { heading: heading.to_owned(), lines: vec![line.to_owned(); count] }
    }

    #[test]
    fn length_is_counted_as_telegram_counts_it() {
        assert_eq!(visible_len("<b>a</b>&amp;🦀"), 4);
        assert_eq!(visible_len(""), 0);
        assert_eq!(visible_len("שלום"), 4);
    }

    #[test]
    fn sections_that_fit_share_a_page() {
        let pages = paginate(&[section("Disks", 2, "disk"), section("Services", 1, "unit")]);
        assert_eq!(pages, [["", "Disks", "disk", "disk", "", "Services", "unit"]]);
        assert_eq!(paginate(&[]), [Vec::<String>::new()]);
    }

    #[test]
    fn a_heading_is_repeated_over_the_page_and_no_line_is_lost() {
        let pages = paginate(&[section("Disks", 100, "disk")]);
        assert!(pages.len() > 1);
        assert!(pages.iter().all(|page| page[1] == "Disks"));
        assert_eq!(pages.iter().flatten().filter(|line| *line == "disk").count(), 100);
    }

    #[test]
    fn long_lines_make_shorter_pages() {
        let line = "x".repeat(500);
        let pages = paginate(&[section("Disks", 100, &line)]);
        assert!(pages.iter().all(|page| page.iter().map(|line| visible_len(line) + 1).sum::<usize>() <= PAGE_TEXT));
    }
}
