//! The blocks of any content, in order and joined by blank lines, are its text.

use gristmill::model::{BlockKind, Content};
use proptest::prelude::*;

use super::content;

/// Checks the invariants of `content`.
pub(crate) fn check(content: &Content) {
    let blocks: Vec<&str> =
        content.blocks.iter().map(|block| block.span.of(&content.text).expect("span")).collect();
    assert_eq!(blocks.join("\n\n"), content.text);
    for (at, (block, text)) in content.blocks.iter().zip(&blocks).enumerate() {
        assert!(!text.trim().is_empty(), "block {at} is blank");
        if let Some(heading) = block.heading {
            assert!(usize::try_from(heading).unwrap() < at);
            let heading = &content.blocks[usize::try_from(heading).unwrap()];
            assert!(matches!(heading.kind, BlockKind::Heading(_)));
        }
        match block.kind {
            BlockKind::Code => {}
            BlockKind::TableRow => assert!(!text.contains(['\n', '\r'])),
            _ => {
                assert_eq!(text.trim(), *text);
                assert!(
                    !text.contains(['\n', '\t', '\r', '\u{A0}']) && !text.contains("  "),
                    "{text:?}"
                );
            }
        }
        if block.kind != BlockKind::Code {
            assert!(!text.contains(['\0', '\u{200B}', '\u{FEFF}', '\u{AD}']), "{text:?}");
        }
    }
}

/// Scraps of markup that make trouble together.
fn scrap() -> impl Strategy<Value = String> {
    const TAGS: &[&str] = &[
        "p",
        "div",
        "b",
        "a href=x",
        "ul",
        "ol start=9",
        "li",
        "table",
        "tr",
        "td",
        "th",
        "pre",
        "h1",
        "h3",
        "blockquote",
        "code",
        "br",
        "hr",
        "img alt=i src=i",
        "select",
        "option",
        "svg",
        "template",
        "main",
        "nav",
        "article",
        "span hidden",
        "script",
        "title",
        "textarea",
        "x-y",
        "form",
        "caption",
        "dl",
        "dt",
        "dd",
        "button",
        "math",
        "em",
        "del",
    ];
    prop_oneof![
        4 => prop::sample::select(TAGS).prop_map(|tag| format!("<{tag}>")),
        3 => prop::sample::select(TAGS).prop_map(|tag| format!("</{}>", tag.split(' ').next().unwrap())),
        3 => "[ a-zé\u{A0}\u{200B}\t\n]{0,12}",
        1 => prop::sample::select(&["&nbsp;", "&#0;", "&amp", "<!--", "-->", "<", "\0", "\"", "'>", "</", "<p class=\"", "]]>"][..]).prop_map(str::to_owned),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_markup(scraps in prop::collection::vec(scrap(), 0..60)) {
        check(&content(&scraps.concat()));
    }

    #[test]
    fn of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&gristmill::extract::extract(&bytes, &super::page_url()).unwrap());
    }

    #[test]
    fn of_any_text_and_markdown(text in "[ -~\n\u{A0}é#>`*-]{0,200}") {
        for content_type in ["text/plain", "text/markdown"] {
            let input = gristmill::extract::Input {
                body: text.as_bytes(),
                url: &super::page_url(),
                content_type: Some(content_type),
            };
            check(&gristmill::extract::Extractor::default().extract(&input).unwrap());
        }
    }
}

#[test]
fn kinds_and_headings_are_told() {
    let content = content(
        "<h1>T</h1><p>a\n b<br>c<br><br>d</p><h2>U</h2><ul><li>x<li>y</ul>\
         <blockquote>q</blockquote><pre>\n  1\n\n 2\n</pre>\
         <table><tr><th>k<th>v<tr><td>m<td>n</table>",
    );
    check(&content);
    let kinds: Vec<_> = content
        .blocks
        .iter()
        .map(|block| (block.kind, block.heading, block.span.of(&content.text).unwrap()))
        .collect();
    assert_eq!(
        kinds,
        [
            (BlockKind::Heading(1), None, "T"),
            (BlockKind::Paragraph, Some(0), "a b c"),
            (BlockKind::Paragraph, Some(0), "d"),
            (BlockKind::Heading(2), Some(0), "U"),
            (BlockKind::ListItem, Some(3), "x"),
            (BlockKind::ListItem, Some(3), "y"),
            (BlockKind::Quote, Some(3), "q"),
            (BlockKind::Code, Some(3), "  1\n\n 2"),
            (BlockKind::TableRow, Some(3), "k\tv"),
            (BlockKind::TableRow, Some(3), "m\tn"),
        ]
    );
}
