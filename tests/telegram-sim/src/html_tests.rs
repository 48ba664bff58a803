//! The corners of the HTML rules, each as Telegram's own server decides it.

use serde_json::json;

use super::*;

fn refused(text: &str) -> String {
    parse(text).expect_err(text)
}

#[test]
fn ordinary_messages_become_plain_text_and_entities_in_utf16() {
    let parsed = parse(
        "🏟 <b>db-1</b>: 93 % of <code>/var</code> &lt;full&gt; &amp; <a href=\"https://example.org/?a=1&amp;b=2\">more</a>",
    )
    .unwrap();
    assert_eq!(parsed.plain, "🏟 db-1: 93 % of /var <full> & more");
    assert_eq!(parsed.entities[0], json!({"type": "bold", "offset": 3, "length": 4}));
    assert_eq!(parsed.entities[1], json!({"type": "code", "offset": 17, "length": 4}));
    assert_eq!(parsed.entities[2]["url"], "https://example.org/?a=1&b=2");
}

#[test]
fn what_telegram_refuses_is_refused_with_its_words() {
    for (text, error) in [
        ("load < 5", "Unsupported start tag \"\" at byte offset 5"),
        ("5 <", "Unclosed start tag at byte offset 2"),
        ("<br>", "Unsupported start tag \"br\" at byte offset 0"),
        ("é<h1>x</h1>", "Unsupported start tag \"h1\" at byte offset 2"),
        ("<b>x", "Can't find end tag corresponding to start tag \"b\""),
        ("x</b>", "Unexpected end tag at byte offset 1"),
        ("<b><i>x</b></i>", "Unmatched end tag at byte offset 7, expected \"</i>\", found \"</b>\""),
        ("<b>x</b", "Unclosed end tag at byte offset 4"),
        ("<span>x</span>", "Tag \"span\" must have class \"tg-spoiler\" at byte offset 0"),
        ("<i x>y</i>", "Expected equal sign in declaration of an attribute of the tag \"i\" at byte offset 0"),
        ("<i =x>y</i>", "Empty attribute name in the tag \"i\" at byte offset 0"),
        ("<a href=\"x>y</a>", "Unclosed start tag at byte offset 0"),
        ("<a href=x/y>z</a>", "Unexpected end of name token at byte offset 8"),
    ] {
        assert_eq!(refused(text), error, "{text}");
    }
}

#[test]
fn what_telegram_forgives_is_forgiven() {
    for (text, plain) in [
        ("a & b", "a & b"),
        ("&nbsp;&laquo;", "&nbsp;&laquo;"),
        ("&lt5", "<5"),
        ("&#60;&#x3c;&#0;", "<<&#0;"),
        ("&#99999999999999999999;", "&#99999999999999999999;"),
        ("a > b", "a > b"),
        ("<B>x</>", "x"),
        ("<blockquote expandable>x</blockquote>", "x"),
        ("<tg-spoiler>x</tg-spoiler><span class=\"tg-spoiler\">y</span>", "xy"),
        ("<a href=\"javascript:alert(1)\">x</a>", "x"),
        ("  <b> x </b>\n", "x"),
    ] {
        assert_eq!(parse(text).unwrap_or_else(|e| panic!("{text}: {e}")).plain, plain);
    }
}

#[test]
fn trimming_moves_the_entities_with_the_text() {
    let parsed = parse("\n <b>ab</b> <i> </i>").unwrap();
    assert_eq!((parsed.plain.as_str(), parsed.entities), ("ab", vec![json!({"type": "bold", "offset": 0, "length": 2})]));
}

#[test]
fn a_block_of_code_has_its_language_and_a_word_has_none() {
    let entities = |text: &str| parse(text).unwrap().entities;
    let block = json!([{"type": "pre", "language": "sh", "offset": 0, "length": 2}]);
    assert_eq!(json!(entities("<pre><code class=\"language-sh\">ls</code></pre>")), block);
    let word = json!([{"type": "code", "offset": 0, "length": 2}]);
    assert_eq!(json!(entities("<code class=\"language-sh\">ls</code>")), word);
}

#[test]
fn the_page_gets_only_tags_and_addresses_that_are_safe() {
    let hostile =
        "<a href=\"javascript:alert(1)\">x</a><a href='https://e.org/\"onclick=\"x'>y</a>&lt;script&gt;<b onclick=\"x\">z</b>";
    let safe = parse(hostile).unwrap().safe_html;
    assert_eq!(safe, "<a>x</a><a href=\"https://e.org/%22onclick=%22x\">y</a>&lt;script&gt;<b>z</b>");
    assert_eq!(verbatim("<img src=x onerror='1'>").safe_html, "&lt;img src=x onerror=&#39;1&#39;&gt;");
}

/// A property over generated texts: no panic, no endless loop, offsets inside the text, nothing unescaped left.
#[test]
fn hostile_input_never_panics_and_never_leaks_markup() {
    const PIECES: &[&str] = &[
        "<",
        ">",
        "</",
        "/",
        "<b",
        "<b>",
        "</b>",
        "</>",
        "<a href",
        "=",
        "\"",
        "'",
        "&",
        "&#",
        "&#x",
        "&#xD800;",
        "&lt",
        ";",
        " ",
        "\n",
        "\0",
        "é",
        "🏟",
        "\u{202e}",
        "<script>",
        "<span class=\"tg-spoiler\">",
        "</span>",
        "<pre><code class=\"language-x\">",
        "expandable",
        "<blockquote ",
        "javascript:",
        "x",
    ];
    let mut seed: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut accepted = 0;
    for _ in 0..50_000 {
        let mut text = String::new();
        for _ in 0..(seed % 9) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            text.push_str(PIECES[usize::try_from(seed % PIECES.len() as u64).unwrap()]);
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let Ok(parsed) = parse(&text) else { continue };
        accepted += 1;
        let length = i64::try_from(utf16_len(&parsed.plain)).unwrap();
        for entity in &parsed.entities {
            assert!(entity["offset"].as_i64().unwrap() + entity["length"].as_i64().unwrap() <= length, "{text:?}");
        }
        assert!(!parsed.safe_html.contains("<script"), "{text:?}");
        assert!(!parsed.safe_html.contains("javascript:\""), "{text:?}");
    }
    assert!(accepted > 1000, "the generator must reach the accepting path, did {accepted} times");
}
