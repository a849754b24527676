//! Documents made to exhaust stack, memory or time end in a content or a typed error, on a thread
//! with a small stack.

use gristmill::extract::{ExtractError, ExtractOptions, Extractor, Input, links};
use gristmill::model::{Block, Content};

use super::blocks_cover_the_text::check;
use super::page_url;

const STACK_BYTES: usize = 2 << 20;

/// Extracts on a thread with 2 MiB of stack, content and links alike.
fn extract(options: ExtractOptions, body: Vec<u8>) -> Result<Content, ExtractError> {
    let run = move || {
        let url = page_url();
        let content = Extractor::new(options).extract(&Input {
            body: &body,
            url: &url,
            content_type: Some("text/html"),
        });
        if let Ok(content) = &content {
            check(content);
            assert_eq!(links(&body, &url, Some("text/html")).unwrap(), content.links);
        }
        content
    };
    std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap().join().unwrap()
}

fn text_of(body: String) -> String {
    extract(ExtractOptions::default(), body.into_bytes()).unwrap().text
}

#[test]
fn a_hundred_thousand_nested_elements() {
    const DEEP: usize = 100_000;
    for tag in [
        "div",
        "a href=x",
        "ul><li",
        "table><tr><td",
        "blockquote",
        "x-y",
        "svg",
        "math",
        "select",
        "template",
        "p",
        "pre",
    ] {
        let names: Vec<_> = tag.split("><").collect();
        let end_tag = |name: &&str| format!("</{}>", name.split(' ').next().unwrap());
        let closing = names.iter().rev().map(end_tag).collect::<Vec<_>>().concat();
        let inside = text_of(format!(
            "<p>before</p>{}inside{}",
            format!("<{tag}>").repeat(DEEP),
            closing.repeat(DEEP)
        ));
        assert!(inside.contains("before"), "{tag}");
        let unclosed = text_of(format!("<p>before</p>{}inside", format!("<{tag}>").repeat(DEEP)));
        assert!(unclosed.contains("before"), "{tag}");
    }
}

#[test]
fn a_million_attributes() {
    let many = (0..1_000_000).map(|n| format!(" a{n}=1")).collect::<Vec<_>>().concat();
    assert_eq!(text_of(format!("<p{many} id=x>text")), "text");
    let same = " a=1".repeat(1_000_000);
    assert_eq!(text_of(format!("<p{same}>text")), "text");
}

#[test]
fn a_text_of_fifty_megabytes() {
    let body = vec![b'x'; 50_000_000];
    let error = extract(ExtractOptions::default(), body.clone()).unwrap_err();
    assert!(matches!(error, ExtractError::TooLarge { bytes: 50_000_000, .. }), "{error}");
    let options = ExtractOptions { max_bytes: 64 << 20, ..ExtractOptions::default() };
    let run = move || {
        let input = Input { body: &body, url: &page_url(), content_type: Some("text/html") };
        Extractor::new(options).extract(&input).unwrap().text.len()
    };
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run).unwrap();
    assert_eq!(thread.join().unwrap(), 50_000_000);
}

#[test]
fn too_many_nodes() {
    let error =
        extract(ExtractOptions::default(), "<p>x".repeat(600_000).into_bytes()).unwrap_err();
    assert!(matches!(error, ExtractError::TooManyNodes { limit: 1_000_000, .. }), "{error}");
}

#[test]
fn links_beyond_the_limit_are_not_read() {
    let options = ExtractOptions { max_links: 10, ..ExtractOptions::default() };
    let many = (0..1000).map(|n| format!("<a href=/{n}>{n}</a>")).collect::<Vec<_>>().concat();
    let extractor = Extractor::new(options);
    let url = page_url();
    let found =
        extractor.links(&Input { body: many.as_bytes(), url: &url, content_type: None }).unwrap();
    assert_eq!(found.len(), 10);
}

#[test]
fn what_is_never_closed() {
    for (body, text) in [
        ("<p>a<!-- never", "a"),
        ("<p>a<b title=\"never", "a"),
        ("<p>a<script>never", "a"),
        ("<p>a<style>never", "a"),
        ("<p>a<textarea>never", "a"),
        ("<p>a<template>never", "a"),
        ("<p>a<svg><g>never<p>b", "a\n\nb"),
        ("<p>a<", "a<"),
        ("<p>a</", "a</"),
        ("<p>a<!", "a"),
        ("<p>a<![CDATA[ never", "a"),
        ("<p>a&#", "a&#"),
        ("<p>a<a href=x", "a"),
    ] {
        assert_eq!(text_of(body.to_owned()), text, "{body}");
    }
}

#[test]
fn repeated_openings_stay_linear() {
    // Each would take hours if looking for its end began anew every time.
    const MANY: usize = 300_000;
    for scrap in [
        "<!--",
        "<a href='",
        "<script>",
        "</",
        "<title>",
        "&",
        "<![CDATA[",
        "</b>",
        "<p></b>",
        "<b><p>",
        "--",
        "<",
        "<a",
        "<svg>",
        "&#x",
        "<!-",
        "<script><!--<script></script>",
        "<sup>",
        "<q>",
        "<pre><code>",
        "<math><msup>",
        "<ol><ol>",
        "<li>a<blockquote>",
        "<table><tr><td rowspan=1000 colspan=1000>a<td>b",
        "<li></ul>",
        "<table>",
        "</p></table>",
        "\"",
        "<a href=\"x",
        "<td></tr>",
    ] {
        let body = scrap.repeat(MANY);
        let outcome = extract(
            ExtractOptions { max_nodes: 200_000, ..ExtractOptions::default() },
            body.into_bytes(),
        );
        assert!(matches!(outcome, Ok(_) | Err(ExtractError::TooManyNodes { .. })), "{scrap}");
    }
}

#[test]
fn zeros_and_broken_utf_8() {
    assert_eq!(text_of("<p>a\0b\0</p>\0".to_owned()), "ab");
    let content = extract(
        ExtractOptions::default(),
        b"<meta charset=utf-8><p>a\xFF\xC3b\xED\xA0\x80".to_vec(),
    )
    .unwrap();
    assert!(content.text.starts_with('a') && content.text.contains('b'));
    for byte in 0..=255 {
        check(&extract(ExtractOptions::default(), vec![byte; 1000]).unwrap());
    }
}

/// Bytes of the text, the Markdown and the block data, and bytes of the links.
fn sizes(content: &Content) -> (usize, usize) {
    let blocks = content.blocks.len() * size_of::<Block>();
    let links = content.links.iter().map(|link| link.url.as_str().len() + link.text.len()).sum();
    (content.text.len() + content.markdown.len() + blocks, links)
}

/// Pages whose output would grow faster than they do: a head, and what is repeated.
fn amplifiers() -> Vec<(String, String)> {
    let long = "x".repeat(8000);
    let wide = "<td>x".repeat(20_000);
    let pair = |head: &str, repeated: &str| (head.to_owned(), repeated.to_owned());
    vec![
        pair(&format!("<table><tr>{wide}"), "<tr><td>y<td>z"),
        pair("<table>", "<tr><td colspan=1000 rowspan=1000>x<td>y"),
        pair(&format!("<base href=/{long}/>"), "<p><a href=a>x</a> <a href=b>y</a>"),
        pair(&format!("<base href=/{long}/><p>"), "<a href=a>x</a> y "),
        pair(&format!("<base href=/{long}/><table>"), "<tr><td><a href=a>x</a><td>y"),
        pair(
            &format!("<base href=/{}/><p>", "x".repeat(2000)),
            "<img src=a alt=b>c<img src=d alt=e>",
        ),
        pair(&format!("<a href=/{long}>"), "<p>x"),
        pair(&format!("<a href=/{long}><p>"), "x<a>y<a href=/>z</a> "),
        pair("<b><i><s><code>", "<p>x"),
        pair("", "<p>x"),
        pair("<ul>", "<li>x"),
        pair(&"<ul><li>".repeat(100), "<p>x"),
        pair(&"<blockquote>".repeat(100), "<p>x<br>y"),
        pair(&format!("{}<pre>", "<ol start=99999999><li>".repeat(16)), "\n.\n"),
        pair("<p>", "*_[]<br>"),
        pair("", "<h1>#"),
        pair("<q>", "<q>x<sup>"),
        pair("<p>", "<sup><sub>1 </sub>"),
    ]
}

#[test]
fn what_comes_out_is_bounded_by_what_goes_in() {
    for (head, repeated) in amplifiers() {
        let body = head.clone() + &repeated.repeat(150_000 / repeated.len());
        let length = body.len();
        let content = extract(ExtractOptions::default(), body.into_bytes()).unwrap();
        let (bytes, _) = sizes(&content);
        assert!(bytes <= 4 * length + (64 << 10), "{bytes} of {length}: {head:.60}{repeated}");
        assert!(!content.text.is_empty(), "{head:.60}{repeated}");
    }
}

#[test]
fn markdown_is_cut_first_and_text_last() {
    let base = format!("<base href=/{}/>", "x".repeat(8000));
    let links = (0..2000).map(|n| format!("<p>word <a href={n}>link {n}</a>")).collect::<Vec<_>>();
    let page = base + &links.concat();
    let content = extract(ExtractOptions::default(), page.into_bytes()).unwrap();
    assert!(content.truncated.markdown && !content.truncated.text, "{:?}", content.truncated);
    assert!(content.text.ends_with("word link 1999"));
    assert!(content.markdown.starts_with("word [link 0](") && content.markdown.ends_with(")\n"));
    let content = extract(ExtractOptions::default(), "<p>x".repeat(100_000).into_bytes()).unwrap();
    assert!(content.truncated.text && content.text.ends_with("\n\nx"));
    let whole = extract(ExtractOptions::default(), "<p>word ".repeat(1000).into_bytes()).unwrap();
    assert!(!whole.truncated.any() && whole.blocks.len() == 1000);
}

#[test]
fn links_are_bounded_in_bytes() {
    let base = format!("<base href=/{}/>", "x".repeat(8000));
    let links = (0..50_000).map(|n| format!("<a href={n}>{n}</a> ")).collect::<Vec<_>>();
    let page = base + &links.concat();
    let content = extract(ExtractOptions::default(), page.into_bytes()).unwrap();
    let (_, bytes) = sizes(&content);
    assert!(content.truncated.links && bytes <= 8 << 20 && bytes > 7 << 20, "{bytes}");
    let longest = format!("<base href=/{}/><a href=a>x</a>", "x".repeat(10_000));
    let content = extract(ExtractOptions::default(), longest.into_bytes()).unwrap();
    assert_eq!(
        content.links[0].url.as_str(),
        "https://example.org/dir/a",
        "an endless base is none"
    );
}
