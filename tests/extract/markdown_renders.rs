//! Markdown, read by an independent parser of `CommonMark` and GitHub's dialect, says what the text
//! says: nothing is taken for markup, and no markup is left standing.
//!
//! What may differ: white space, and the `~~` around struck-out text, which the text has too.
//! Alternative texts of images and numbers of lists are not part of the text.

use std::io::Read;

use flate2::read::MultiGzDecoder;
use gristmill::extract::extract;
use gristmill::model::Content;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::pages::marked_pages;
use super::{content, page_url};

/// Most pages of a thousand whose Markdown may read otherwise.
const MAX_PER_MILLE: usize = 10;

/// The text that a reader sees of `markdown`.
fn rendered(markdown: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut text = String::new();
    let mut images = 0;
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Start(Tag::Image { .. }) => images += 1,
            Event::End(TagEnd::Image) => images -= 1,
            Event::Text(piece) | Event::Code(piece) if images == 0 => text.push_str(&piece),
            Event::Html(html) | Event::InlineHtml(html) => {
                text.push_str("raw HTML: ");
                text.push_str(&html);
            }
            Event::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. })
            | Event::End(
                TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link,
            ) => {}
            Event::SoftBreak | Event::HardBreak | Event::Start(_) | Event::End(_) => text.push(' '),
            _ => {}
        }
    }
    text
}

fn normal(text: &str) -> String {
    text.replace("~~", "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Checks that both say the same, but for asterisks: where several kinds of emphasis meet between
/// punctuation, one may be left standing. On real pages they count.
fn check(content: &Content, html: &str) {
    assert_eq!(
        normal(&rendered(&content.markdown).replace('*', "")),
        normal(&content.text.replace('*', "")),
        "{html}\n{}",
        content.markdown
    );
}

fn words() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "mill",
        "a",
        "7",
        "12.",
        "3)",
        "1841",
        "*",
        "**",
        "_",
        "__",
        "snake_case",
        "`",
        "``",
        "~",
        "~~",
        "#",
        "##",
        "-",
        "---",
        "+",
        ">",
        "=",
        "===",
        "|",
        "[",
        "]",
        "(x)",
        "](y)",
        "!",
        "&",
        "&copy;",
        "&amp;amp;",
        "&lt;b>",
        "&lt;",
        "\\",
        "\\*",
        ":",
        ":-",
        "「水車」",
        "Price:",
        "20%",
        "$5",
        "é",
        "https://mill.example/_a_*b",
        "www.mill.example",
        "x@mill.example",
        "…",
        "“q”",
        "[^1]",
        "[x]: /y",
        "☃",
    ];
    let piece = prop::sample::select(PIECES);
    prop::collection::vec((piece, any::<bool>()), 1..5).prop_map(|pieces| {
        pieces
            .into_iter()
            .flat_map(|(piece, space)| [piece, if space { " " } else { "" }])
            .collect()
    })
}

fn inline() -> impl Strategy<Value = String> {
    const TAGS: &[&str] = &[
        "b",
        "i",
        "em",
        "strong",
        "code",
        "del",
        "s",
        "sup",
        "sub",
        "q",
        "span",
        "a href=/x",
        "a href='/y?a=1&amp;copy;=2|(z)'",
        "a href=#n",
        "kbd",
        "ruby",
        "rt",
        "ins",
    ];
    let leaf = prop_oneof![
        6 => words(),
        1 => Just("<br>".to_owned()),
        1 => Just("<img alt='a [b] `c` | d' src='/i(1).png'>".to_owned()),
        1 => Just(" ".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        (prop::sample::select(TAGS), prop::collection::vec(inner, 1..4)).prop_map(
            |(tag, inside)| {
                let name = tag.split(' ').next().unwrap();
                format!("<{tag}>{}</{name}>", inside.concat())
            },
        )
    })
}

fn block() -> impl Strategy<Value = String> {
    let line = || prop::collection::vec(inline(), 1..5).prop_map(|pieces| pieces.concat());
    let leaf = prop_oneof![
        3 => line().prop_map(|inside| format!("<p>{inside}</p>")),
        1 => line(),
        1 => line().prop_map(|inside| format!("<h3>{inside}</h3>")),
        1 => words().prop_map(|inside| format!("<pre>{inside}\n  ```\n\n {inside}</pre>")),
        1 => line().prop_map(|inside| format!("<dl><dt>{inside}</dt><dd>{inside}</dd></dl>")),
        1 => line().prop_map(|cell| format!(
            "<table><tr><th colspan=2>{cell}</th><th>k</th></tr><tr><td rowspan=2>{cell}</td>\
             <td>{cell}</td><td>v</td></tr><tr><td>{cell}</td></tr></table>"
        )),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let inside = prop::collection::vec(inner, 1..4);
        (0..7_usize, inside).prop_map(|(kind, inside)| match kind {
            0 => format!("<ul><li>{}</li></ul>", inside.join("</li><li>")),
            1 => format!("<ol start=9><li>{}</li></ol>", inside.join("</li><li>")),
            2 => format!("<ol reversed><li value=4>{}</li></ol>", inside.join("<li>")),
            3 => format!("<blockquote>{}</blockquote>", inside.concat()),
            4 => format!("<ul>{}<li>x</li></ul>", inside.concat()),
            5 => format!("<a href=/block>{}</a>", inside.concat()),
            _ => format!("<div>{}</div>", inside.concat()),
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_any_line(pieces in prop::collection::vec(inline(), 1..6)) {
        let html = format!("<p>{}</p>", pieces.concat());
        check(&content(&html), &html);
    }

    #[test]
    fn of_any_blocks(blocks in prop::collection::vec(block(), 1..4)) {
        let html = blocks.concat();
        check(&content(&html), &html);
    }
}

#[test]
fn of_real_pages() {
    let set = marked_pages();
    if !set.join("html").is_dir() {
        eprintln!("skipped: the development pages are not there");
        return;
    }
    let (mut pages, mut other) = (0, Vec::new());
    for entry in std::fs::read_dir(set.join("html")).unwrap() {
        let path = entry.unwrap().path();
        let mut page = Vec::new();
        MultiGzDecoder::new(std::fs::File::open(&path).unwrap()).read_to_end(&mut page).unwrap();
        let content = extract(&page, &page_url()).unwrap();
        pages += 1;
        if normal(&rendered(&content.markdown)) != normal(&content.text) {
            other.push(path.file_name().unwrap().to_owned());
        }
    }
    assert!(
        other.len() * 1000 <= pages * MAX_PER_MILLE,
        "{} of {pages} read otherwise: {:?}",
        other.len(),
        other.iter().take(20).collect::<Vec<_>>()
    );
}
