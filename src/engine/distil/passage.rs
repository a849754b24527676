//! Passages: the blocks of a content that can stand as a quote, with the headings above them.

use std::ops::Range;

use super::tokens::is_unspaced;
use crate::model::{Block, BlockKind, Content};

/// Most blocks of one page that are read.
const MAX_BLOCKS: usize = 20_000;

/// A block of the text, without white space at its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Passage<'a> {
    pub(super) range: Range<usize>,
    pub(super) text: &'a str,
    pub(super) kind: BlockKind,
    /// The nearest heading above.
    pub(super) heading: Option<&'a str>,
}

/// All blocks of the content, in order. A content without blocks is cut at blank lines.
pub(super) fn blocks(content: &Content) -> Vec<Passage<'_>> {
    if content.blocks.is_empty() {
        return paragraphs(&content.text);
    }
    let heading_of = |block: &Block| {
        let index = usize::try_from(block.heading?).ok()?;
        content.blocks.get(index)?.span.of(&content.text).map(str::trim)
    };
    content
        .blocks
        .iter()
        .take(MAX_BLOCKS)
        .filter_map(|block| {
            let start = usize::try_from(block.span.start).ok()?;
            let whole = block.span.of(&content.text)?;
            passage(start, whole, block.kind, heading_of(block))
        })
        .collect()
}

fn paragraphs(text: &str) -> Vec<Passage<'_>> {
    let mut start = 0;
    let mut found = Vec::new();
    for part in text.split("\n\n").take(MAX_BLOCKS) {
        found.extend(passage(start, part, BlockKind::Paragraph, None));
        start += part.len() + 2;
    }
    found
}

fn passage<'a>(
    start: usize,
    whole: &'a str,
    kind: BlockKind,
    heading: Option<&'a str>,
) -> Option<Passage<'a>> {
    let text = whole.trim();
    if text.is_empty() {
        return None;
    }
    let start = start + (whole.len() - whole.trim_start().len());
    Some(Passage { range: start..start + text.len(), text, kind, heading })
}

/// The weight of a text in Latin letters: a character of an unspaced script counts as three.
pub(super) fn weight(text: &str) -> usize {
    text.chars().map(|c| if is_unspaced(c) { 3 } else { usize::from(c.is_alphanumeric()) }).sum()
}

/// The sentences of `text`, as ranges that follow each other, without the white space between.
///
/// A sentence ends at `.`, `!`, `?`, `…` and their kin, with closing quotes and brackets, before
/// white space; at `。`, `！`, `？` anywhere; and at line ends. A full stop after a single letter
/// or a number, or before a small letter, ends none.
pub(super) fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let mut end = at + c.len_utf8();
        let ends = match c {
            '。' | '！' | '？' | '｡' | '\n' => true,
            '.' | '!' | '?' | '…' | '।' | '؟' | '۔' => {
                while let Some((_, closing)) = chars.next_if(|(_, next)| is_closing(*next)) {
                    end += closing.len_utf8();
                }
                let rest = text.get(end..).unwrap_or("");
                let spaced = rest.chars().next().is_none_or(char::is_whitespace);
                spaced && (c != '.' || !is_abbreviation(text.get(start..at).unwrap_or(""), rest))
            }
            _ => false,
        };
        if ends {
            push_trimmed(text, start..end, &mut found);
            start = end;
        }
    }
    push_trimmed(text, start..text.len(), &mut found);
    found
}

fn is_closing(c: char) -> bool {
    matches!(c, '.' | '!' | '?' | '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '“' | '」' | '』')
}

fn is_abbreviation(before: &str, rest: &str) -> bool {
    let word = before.rsplit(|c: char| c.is_whitespace() || c == '.' || c == '(').next();
    let word = word.unwrap_or("");
    let short = word.chars().count() == 1 && word.chars().all(char::is_alphabetic);
    let numeral = word.len() <= 2 && !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let title = ["Dr", "Mr", "Mrs", "Ms", "St", "Prof", "Nr", "bzw", "ca", "vgl", "No", "vs"]
        .contains(&word);
    let goes_on = rest.trim_start().chars().next().is_some_and(char::is_lowercase);
    short || numeral || title || goes_on
}

fn push_trimmed(text: &str, range: Range<usize>, found: &mut Vec<Range<usize>>) {
    let Some(part) = text.get(range.clone()) else { return };
    let start = range.start + (part.len() - part.trim_start().len());
    let end = start + part.trim().len();
    if start < end {
        found.push(start..end);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sentences_end_where_people_end_them() {
        let cut = |text: &'static str| -> Vec<_> {
            sentences(text).into_iter().map(|range| &text[range]).collect()
        };
        assert_eq!(
            cut("It costs 3.50 EUR. Dr. Who paid! \"Did he?\" Yes."),
            ["It costs 3.50 EUR.", "Dr. Who paid!", "\"Did he?\"", "Yes."]
        );
        assert_eq!(
            cut("Am 3. Mai kam z. B. der Zug. Er fuhr."),
            ["Am 3. Mai kam z. B. der Zug.", "Er fuhr."]
        );
        assert_eq!(cut("第一句。第二句！"), ["第一句。", "第二句！"]);
        assert_eq!(cut("no end"), ["no end"]);
    }

    proptest! {
        #[test]
        fn sentences_are_trimmed_parts_in_order(text in "[a-zA-Z.!?。\\n \"é1]{0,120}") {
            let mut last = 0;
            for range in sentences(&text) {
                prop_assert!(range.start >= last);
                last = range.end;
                let part = &text[range];
                prop_assert!(!part.is_empty() && part.trim() == part);
            }
        }
    }
}
