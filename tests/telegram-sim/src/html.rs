//! Telegram's HTML parse mode: which messages are refused, what is left of them as plain text, and their entities.
//!
//! The rules are those of `TDLib`'s `parse_html`, corners included, because that is what answers the product in real
//! life: end tags may be `</>`, the semicolon of a character reference may be missing, an unknown reference stays
//! as it is, offsets in errors are bytes. Not here: Markdown, custom emoji, detection of links in plain text.

use serde_json::{Value, json};

/// A message text after entity parsing.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Parsed {
    /// The text without tags, references decoded.
    pub plain: String,
    /// Entities as Bot API objects, offsets in UTF-16 code units.
    pub entities: Vec<Value>,
    /// HTML made anew from what was understood: safe to put into a page.
    pub safe_html: String,
}

/// Text sent without a parse mode.
pub(crate) fn verbatim(text: &str) -> Parsed {
    let mut safe_html = String::new();
    text.chars().for_each(|c| escape_into(&mut safe_html, c));
    trimmed(Parsed { plain: text.to_owned(), entities: vec![], safe_html })
}

/// Text sent with `parse_mode=HTML`; the error is what follows "can't parse entities: ".
pub(crate) fn parse(text: &str) -> Result<Parsed, String> {
    let mut parser = Parser { text: text.as_bytes(), at: 0, out: Parsed::default(), utf16: 0, open: vec![] };
    while parser.at < parser.text.len() {
        match parser.text[parser.at] {
            b'<' if parser.peek(1) == b'/' => parser.end_tag()?,
            b'<' => parser.start_tag()?,
            b'&' => match parser.reference() {
                Some(c) => parser.push(c),
                None => parser.literal(text),
            },
            _ => parser.literal(text),
        }
    }
    match parser.open.last() {
        Some(tag) => Err(format!("Can't find end tag corresponding to start tag \"{}\"", tag.name)),
        None => Ok(trimmed(parser.out)),
    }
}

/// Telegram drops white space around a message, and nothing else is shown of it.
fn trimmed(mut parsed: Parsed) -> Parsed {
    let lead = parsed.plain.len() - parsed.plain.trim_start().len();
    let cut = i64::try_from(utf16_len(&parsed.plain[..lead])).unwrap_or(0);
    parsed.plain = parsed.plain.trim().to_owned();
    let end = i64::try_from(utf16_len(&parsed.plain)).unwrap_or(i64::MAX);
    parsed.entities.retain_mut(|entity| {
        let from = (entity["offset"].as_i64().unwrap_or(0) - cut).clamp(0, end);
        let to = (entity["offset"].as_i64().unwrap_or(0) - cut + entity["length"].as_i64().unwrap_or(0)).clamp(0, end);
        entity["offset"] = from.into();
        entity["length"] = (to - from).into();
        to > from
    });
    name_languages(&mut parsed.entities);
    parsed.entities.sort_by_key(|e| (e["offset"].as_i64(), std::cmp::Reverse(e["length"].as_i64())));
    parsed.safe_html = parsed.safe_html.trim().to_owned();
    parsed
}

/// `<pre><code class="language-x">` around the same words is one block with a language; elsewhere the language is
/// forgotten.
fn name_languages(entities: &mut Vec<Value>) {
    let place = |entity: &Value| (entity["offset"].as_i64(), entity["length"].as_i64());
    let blocks: Vec<_> = entities.iter().filter(|e| e["type"] == "pre").map(place).collect();
    let named: Vec<_> = entities.iter().filter(|e| e["type"] == "code" && !e["language"].is_null()).map(place).collect();
    entities.retain_mut(|entity| {
        let both = blocks.contains(&place(entity)) && named.contains(&place(entity));
        match entity["type"].as_str() {
            Some("pre") if both => false,
            Some("code") if both => {
                entity["type"] = "pre".into();
                true
            }
            _ => {
                entity.as_object_mut().map(|fields| fields.remove("language"));
                true
            }
        }
    });
}

/// Telegram counts texts and offsets in UTF-16 code units.
pub(crate) fn utf16_len(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

const TAGS: &[&str] =
    &["a", "b", "strong", "i", "em", "s", "strike", "del", "u", "ins", "tg-spoiler", "span", "pre", "code", "blockquote"];

struct Open {
    name: String,
    argument: String,
    utf16: usize,
    plain: usize,
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    out: Parsed,
    utf16: usize,
    open: Vec<Open>,
}

impl Parser<'_> {
    /// The byte `ahead`, and 0 behind the end: `TDLib` walks a C string, and its rules lean on that.
    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn push(&mut self, c: char) {
        self.out.plain.push(c);
        self.utf16 += c.len_utf16();
        escape_into(&mut self.out.safe_html, c);
    }

    fn literal(&mut self, text: &str) {
        let c = text[self.at..].chars().next().unwrap_or('\u{fffd}');
        self.at += c.len_utf8();
        self.push(c);
    }

    /// A character reference at the cursor; the cursor moves only when there is one.
    fn reference(&mut self) -> Option<char> {
        let (c, length) = decode_reference(&self.text[self.at..])?;
        self.at += length;
        Some(c)
    }

    fn skip_space(&mut self) {
        while self.peek(0) != 0 && is_space(self.peek(0)) {
            self.at += 1;
        }
    }

    fn slice(&self, from: usize) -> String {
        String::from_utf8_lossy(&self.text[from..self.at.min(self.text.len())]).into_owned()
    }

    fn start_tag(&mut self) -> Result<(), String> {
        let begin = self.at;
        self.at += 1;
        while !is_space(self.peek(0)) && self.peek(0) != b'>' {
            self.at += 1;
        }
        if self.peek(0) == 0 {
            return Err(format!("Unclosed start tag at byte offset {begin}"));
        }
        let name = self.slice(begin + 1).to_ascii_lowercase();
        if !TAGS.contains(&name.as_str()) {
            return Err(format!("Unsupported start tag \"{name}\" at byte offset {begin}"));
        }
        let mut argument = String::new();
        while self.peek(0) != b'>' {
            self.skip_space();
            if self.peek(0) == b'>' {
                break;
            }
            let (attribute, value) = self.attribute(&name, begin)?;
            match (name.as_str(), attribute.as_str()) {
                ("a", "href") => argument = value,
                ("code", "class") if value.starts_with("language-") => value["language-".len()..].clone_into(&mut argument),
                ("span", "class") if value.starts_with("tg-") => value["tg-".len()..].clone_into(&mut argument),
                ("blockquote", "expandable") => "1".clone_into(&mut argument),
                _ => {}
            }
        }
        self.at += 1;
        if name == "span" && argument != "spoiler" {
            return Err(format!("Tag \"span\" must have class \"tg-spoiler\" at byte offset {begin}"));
        }
        self.out.safe_html.push_str(&safe_start(&name, &argument));
        self.open.push(Open { name, argument, utf16: self.utf16, plain: self.out.plain.len() });
        Ok(())
    }

    fn attribute(&mut self, tag: &str, begin: usize) -> Result<(String, String), String> {
        let from = self.at;
        while !is_space(self.peek(0)) && !matches!(self.peek(0), b'=' | b'>') {
            self.at += 1;
        }
        let name = self.slice(from);
        if name.is_empty() {
            return Err(format!("Empty attribute name in the tag \"{tag}\" at byte offset {begin}"));
        }
        self.skip_space();
        if self.peek(0) != b'=' {
            if self.peek(0) == 0 {
                return Err(format!("Unclosed start tag \"{tag}\" at byte offset {begin}"));
            }
            if tag == "blockquote" && name == "expandable" {
                return Ok((name, String::new()));
            }
            return Err(format!(
                "Expected equal sign in declaration of an attribute of the tag \"{tag}\" at byte offset {begin}"
            ));
        }
        self.at += 1;
        self.skip_space();
        if self.peek(0) == 0 {
            return Err(format!("Unclosed start tag \"{tag}\" at byte offset {begin}"));
        }
        let value = match self.peek(0) {
            quote @ (b'"' | b'\'') => self.quoted(quote),
            _ => self.name_token()?,
        };
        if self.peek(0) == 0 {
            return Err(format!("Unclosed start tag at byte offset {begin}"));
        }
        Ok((name, value))
    }

    fn name_token(&mut self) -> Result<String, String> {
        let from = self.at;
        while self.peek(0).is_ascii_alphanumeric() || matches!(self.peek(0), b'.' | b'-') {
            self.at += 1;
        }
        if !is_space(self.peek(0)) && self.peek(0) != b'>' || self.peek(0) == 0 {
            return Err(format!("Unexpected end of name token at byte offset {from}"));
        }
        Ok(self.slice(from).to_ascii_lowercase())
    }

    fn quoted(&mut self, quote: u8) -> String {
        self.at += 1;
        let mut value = Vec::new();
        while self.peek(0) != quote && self.at < self.text.len() {
            if self.peek(0) == b'&'
                && let Some(c) = self.reference()
            {
                value.extend(c.to_string().into_bytes());
                continue;
            }
            value.push(self.peek(0));
            self.at += 1;
        }
        if self.peek(0) == quote {
            self.at += 1;
        }
        String::from_utf8_lossy(&value).into_owned()
    }

    fn end_tag(&mut self) -> Result<(), String> {
        let begin = self.at;
        let Some(tag) = self.open.pop() else {
            return Err(format!("Unexpected end tag at byte offset {begin}"));
        };
        self.at += 2;
        while !is_space(self.peek(0)) && self.peek(0) != b'>' {
            self.at += 1;
        }
        let name = self.slice(begin + 2);
        self.skip_space();
        if self.peek(0) != b'>' {
            return Err(format!("Unclosed end tag at byte offset {begin}"));
        }
        if !name.is_empty() && name != tag.name {
            return Err(format!("Unmatched end tag at byte offset {begin}, expected \"</{}>\", found \"</{name}>\"", tag.name));
        }
        self.at += 1;
        self.out.safe_html.push_str(safe_end(&tag.name, &tag.argument));
        if self.utf16 > tag.utf16
            && let Some(mut entity) = entity(&tag, &self.out.plain[tag.plain..])
        {
            entity["offset"] = tag.utf16.into();
            entity["length"] = (self.utf16 - tag.utf16).into();
            self.out.entities.push(entity);
        }
        Ok(())
    }
}

fn entity(tag: &Open, inner: &str) -> Option<Value> {
    Some(match tag.name.as_str() {
        "b" | "strong" => json!({"type": "bold"}),
        "i" | "em" => json!({"type": "italic"}),
        "u" | "ins" => json!({"type": "underline"}),
        "s" | "strike" | "del" => json!({"type": "strikethrough"}),
        "tg-spoiler" | "span" => json!({"type": "spoiler"}),
        "blockquote" if tag.argument.is_empty() => json!({"type": "blockquote"}),
        "blockquote" => json!({"type": "expandable_blockquote"}),
        "pre" => json!({"type": "pre"}),
        "code" if tag.argument.is_empty() => json!({"type": "code"}),
        "code" => json!({"type": "code", "language": tag.argument}),
        // An anchor without an address, or with one that is none, is plain text and no error.
        "a" => json!({"type": "text_link", "url": web_address(if tag.argument.is_empty() { inner } else { &tag.argument })?}),
        _ => return None,
    })
}

/// An address that may become a link, in full; anything else (javascript:, a bare word) is none.
fn web_address(raw: &str) -> Option<String> {
    let raw = raw.trim();
    let lower = raw.to_ascii_lowercase();
    if ["http://", "https://", "tg://", "tonsite://"].iter().any(|scheme| lower.starts_with(scheme)) {
        return reqwest::Url::parse(raw).ok().map(String::from);
    }
    let host = raw.split(['/', '?', '#']).next().unwrap_or_default();
    let domain = host.contains('.') && host.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | ':'));
    if !domain || host.starts_with('.') || host.ends_with('.') {
        return None;
    }
    reqwest::Url::parse(&format!("http://{raw}")).ok().map(String::from)
}

fn safe_start(name: &str, argument: &str) -> String {
    match name {
        "a" => match web_address(argument) {
            Some(url) => {
                let mut tag = String::from("<a href=\"");
                url.chars().for_each(|c| escape_into(&mut tag, c));
                tag + "\">"
            }
            None => "<a>".into(),
        },
        "span" | "tg-spoiler" => "<span class=\"spoiler\">".into(),
        name => format!("<{name}>"),
    }
}

fn safe_end(name: &str, _argument: &str) -> &'static str {
    match name {
        "a" => "</a>",
        "b" => "</b>",
        "strong" => "</strong>",
        "i" => "</i>",
        "em" => "</em>",
        "s" => "</s>",
        "strike" => "</strike>",
        "del" => "</del>",
        "u" => "</u>",
        "ins" => "</ins>",
        "pre" => "</pre>",
        "code" => "</code>",
        "blockquote" => "</blockquote>",
        _ => "</span>",
    }
}

fn escape_into(out: &mut String, c: char) {
    match c {
        '<' => out.push_str("&lt;"),
        '>' => out.push_str("&gt;"),
        '&' => out.push_str("&amp;"),
        '"' => out.push_str("&quot;"),
        '\'' => out.push_str("&#39;"),
        c => out.push(c),
    }
}

/// 0 counts as space: `TDLib`'s loops end at a C string's end that way.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | 0x0b)
}

/// Decodes `&lt;`, `&gt;`, `&amp;`, `&quot;` and numeric references; all others are ordinary text.
fn decode_reference(bytes: &[u8]) -> Option<(char, usize)> {
    let at = |i: usize| bytes.get(i).copied().unwrap_or(0);
    let mut end = 1;
    let c = if at(1) == b'#' {
        let hexadecimal = at(2) == b'x';
        let radix = if hexadecimal { 16 } else { 10 };
        end = if hexadecimal { 3 } else { 2 };
        let mut code: u32 = 0;
        while let Some(digit) = char::from(at(end)).to_digit(radix) {
            code = code.saturating_mul(radix).saturating_add(digit);
            end += 1;
        }
        // TDLib's limit on the length keeps its integer from overflowing.
        if code == 0 || end >= 10 {
            return None;
        }
        char::from_u32(code)?
    } else {
        while at(end).is_ascii_alphabetic() {
            end += 1;
        }
        match &bytes[1..end] {
            b"lt" => '<',
            b"gt" => '>',
            b"amp" => '&',
            b"quot" => '"',
            _ => return None,
        }
    };
    Some((c, if at(end) == b';' { end + 1 } else { end }))
}

#[cfg(test)]
#[path = "html_tests.rs"]
mod tests;
