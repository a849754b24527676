//! What a body is read as.

use gristmill::extract::{ExtractError, Extractor, Input};
use gristmill::model::{BlockKind, Content};

use super::page_url;

fn read(body: &str, content_type: Option<&str>) -> Result<Content, ExtractError> {
    Extractor::default().extract(&Input { body: body.as_bytes(), url: &page_url(), content_type })
}

#[test]
fn plain_text_is_not_markup() {
    let content = read("a <b>\n c\n\n\n d\n", Some("text/plain; charset=utf-8")).unwrap();
    assert_eq!(content.text, "a <b> c\n\nd");
    assert!(content.links.is_empty());
    let content = read("# a\n*b*\n\n1. c", Some("text/plain")).unwrap();
    assert_eq!(content.markdown, "\\# a \\*b\\*\n\n1\\. c\n");
}

#[test]
fn markdown_is_read_as_blocks() {
    let source = "# Mills\n\nOne\ntwo.\n- a\n- b\n\n```\nlet x;\n\n```\n> said";
    let content = read(source, Some("text/markdown")).unwrap();
    assert_eq!(content.title.as_deref(), Some("Mills"));
    assert_eq!(content.text, "Mills\n\nOne two.\n\na\n\nb\n\nlet x;\n\nsaid");
    assert_eq!(content.markdown, format!("{source}\n"));
    let kinds: Vec<_> = content.blocks.iter().map(|block| block.kind).collect();
    assert_eq!(
        kinds,
        [
            BlockKind::Heading(1),
            BlockKind::Paragraph,
            BlockKind::ListItem,
            BlockKind::ListItem,
            BlockKind::Code,
            BlockKind::Quote
        ]
    );
}

#[test]
fn xhtml_has_self_closing_elements_and_cdata() {
    let source = "<?xml version=\"1.0\"?><html xmlns=\"http://www.w3.org/1999/xhtml\" xml:lang=\"de\">\
                  <head><script src=\"x\"/><title>T</title></head><body><p><![CDATA[a < b]]></p></body></html>";
    let content = read(source, Some("application/xhtml+xml")).unwrap();
    assert_eq!((content.text.as_str(), content.title.as_deref()), ("a < b", Some("T")));
    assert_eq!(content.language.as_deref(), Some("de"));
    assert_eq!(read(source, None).unwrap().text, "a < b");
}

#[test]
fn a_missing_type_is_guessed_and_a_foreign_one_refused() {
    assert_eq!(read("  <!DOCTYPE html><p>a", None).unwrap().text, "a");
    assert_eq!(read("a < b\n\nc", None).unwrap().text, "a < b\n\nc");
    let error = read("%PDF", Some("Application/PDF; x=1")).unwrap_err();
    assert!(
        matches!(&error, ExtractError::UnsupportedType { media_type, .. } if media_type == "application/pdf")
    );
    assert!(error.to_string().contains("https://example.org/dir/page.html"));
}
