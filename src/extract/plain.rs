//! Documents without markup to parse: plain text and Markdown.

use std::borrow::Cow;

use super::bounds::{Bounded, Output, Rendered};
use super::escape::{self, Surroundings};
use super::text::collapsed;
use super::text::visible;
use crate::model::BlockKind;

/// Reads plain text: paragraphs stand apart by blank lines.
pub(super) fn text(source: &str, limit: usize) -> Rendered {
    let mut blocks = Blocks { out: Output::new(limit) };
    let mut written = Bounded::new(limit);
    for paragraph in paragraphs(source) {
        let paragraph = collapsed(paragraph);
        blocks.push(&paragraph, BlockKind::Paragraph);
        if blocks.out.is_full() {
            break;
        }
        if !paragraph.is_empty() {
            if !written.is_empty() {
                written.push_str("\n\n");
            }
            let tildes = paragraph.bytes().filter(|byte| *byte == b'~').nth(1).is_some();
            let around = Surroundings { line_start: true, tildes, ..Surroundings::default() };
            let mut escaped = String::new();
            escape::push(&mut escaped, &paragraph, around);
            written.push_str(&escaped);
            blocks.out.fit(&mut written);
        }
    }
    blocks.out.finish(written)
}

/// Reads Markdown: its source is kept as Markdown, its text loses the marks of headings, items,
/// quotations and fences.
pub(super) fn markdown(source: &str, limit: usize) -> Rendered {
    let mut blocks = Blocks { out: Output::new(limit) };
    let mut paragraph = String::new();
    let mut fence: Option<(&str, String)> = None;
    for line in source.lines() {
        let trimmed = line.trim();
        if let Some((mark, code)) = &mut fence {
            if trimmed.starts_with(*mark) {
                let code = std::mem::take(code);
                fence = None;
                blocks.push(code.trim_matches('\n').trim_end(), BlockKind::Code);
            } else {
                code.extend(visible(line));
                code.push('\n');
            }
            continue;
        }
        if let Some(mark) = ["```", "~~~"].into_iter().find(|mark| trimmed.starts_with(mark)) {
            blocks.paragraph(&mut paragraph);
            fence = Some((mark, String::new()));
            continue;
        }
        match line_kind(trimmed) {
            Some((kind, inside)) => {
                blocks.paragraph(&mut paragraph);
                blocks.push(&collapsed(inside), kind);
            }
            None if trimmed.is_empty() => blocks.paragraph(&mut paragraph),
            None => {
                paragraph.push_str(trimmed);
                paragraph.push('\n');
            }
        }
    }
    if let Some((_, code)) = fence {
        blocks.push(code.trim_matches('\n').trim_end(), BlockKind::Code);
    }
    blocks.paragraph(&mut paragraph);
    let mut written = Bounded::new(limit);
    for line in visible(source).collect::<String>().trim().split_inclusive('\n') {
        written.push_str(line);
        blocks.out.fit(&mut written);
    }
    blocks.out.finish(written)
}

/// The first heading of a document read by [`markdown`].
pub(super) fn title(rendered: &Rendered) -> Option<String> {
    let heading =
        rendered.blocks.iter().find(|block| matches!(block.kind, BlockKind::Heading(_)))?;
    heading.span.of(&rendered.text).map(str::to_owned)
}

/// Runs of lines that are not blank.
fn paragraphs(source: &str) -> impl Iterator<Item = &str> {
    let mut rest = source;
    std::iter::from_fn(move || {
        let start = rest.find(|c: char| !c.is_whitespace())?;
        let from = &rest[start..];
        let mut end = 0;
        for line in from.split_inclusive('\n') {
            if line.trim().is_empty() {
                break;
            }
            end += line.len();
        }
        let (paragraph, after) = from.split_at(end);
        rest = after;
        Some(paragraph)
    })
}

/// What a line of Markdown begins with, and the rest of it; `None` for a line of a paragraph.
fn line_kind(line: &str) -> Option<(BlockKind, &str)> {
    let hashes = line.bytes().take_while(|b| *b == b'#').count();
    if let Ok(level @ 1..=6) = u8::try_from(hashes)
        && let Some(title) = line[hashes..].strip_prefix(' ')
    {
        return Some((BlockKind::Heading(level), title.trim_end_matches('#')));
    }
    if let Some(quoted) = line.strip_prefix('>') {
        return Some((BlockKind::Quote, quoted));
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = (digits > 0).then(|| line[digits..].strip_prefix(". ")).flatten();
    let item = ["- ", "* ", "+ "].into_iter().find_map(|mark| line.strip_prefix(mark));
    item.or(numbered).map(|inside| (BlockKind::ListItem, inside))
}

/// Blocks being written.
struct Blocks {
    out: Output,
}

impl Blocks {
    fn paragraph(&mut self, lines: &mut String) {
        self.push(&collapsed(lines), BlockKind::Paragraph);
        lines.clear();
    }

    fn push(&mut self, text: &str, kind: BlockKind) {
        if text.trim().is_empty() {
            return;
        }
        self.out.block(text, kind);
    }
}

/// A media type's document, or `None` for one that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// HTML.
    Html,
    /// HTML in XML syntax.
    Xhtml,
    /// Plain text.
    Text,
    /// Markdown.
    Markdown,
}

impl Format {
    /// The format that a media type (lower case, without parameters) stands for.
    pub(super) fn of(media_type: &str) -> Option<Self> {
        Some(match media_type {
            "text/html" => Self::Html,
            "application/xhtml+xml" => Self::Xhtml,
            "text/plain" => Self::Text,
            "text/markdown" | "text/x-markdown" => Self::Markdown,
            _ => return None,
        })
    }

    /// Guesses from the beginning of a document: markup is HTML, anything else text.
    pub(super) fn sniff(source: &str) -> Self {
        let start: Cow<'_, str> = source.trim_start().chars().take(1024).collect();
        let lower = start.to_ascii_lowercase();
        if lower.starts_with("<?xml") && lower.contains("<html") {
            return Self::Xhtml;
        }
        let markup = [
            "<!doctype",
            "<html",
            "<head",
            "<body",
            "<!--",
            "<p",
            "<div",
            "<title",
            "<h1",
            "<a ",
            "<meta",
            "<table",
            "</",
        ];
        if markup.iter().any(|tag| lower.contains(tag)) { Self::Html } else { Self::Text }
    }
}
