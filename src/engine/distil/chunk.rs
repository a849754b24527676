//! Chunks: runs of neighbouring blocks that fit one prompt, with the heading above them.

use std::collections::BTreeSet;
use std::ops::Range;

use super::bm25::{Query, scores};
use super::language::Language;
use super::passage::{Passage, sentences};
use super::prompt::sanitized;
use super::tokens::{Token, tokens, truncated};
use crate::llm::estimate_tokens;
use crate::model::BlockKind;

/// The size limits of a chunk.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChunkSize {
    /// Most bytes as the prompt shows it.
    pub(super) bytes: usize,
    /// Most tokens, by estimate.
    pub(super) tokens: u64,
}

/// A run of blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chunk {
    /// The text that the model sees.
    pub(super) text: String,
    /// The bytes of the content's text that it covers, without its heading.
    pub(super) range: Range<usize>,
}

/// Cuts blocks into chunks. A block that is too large by itself is cut at sentences.
pub(super) fn chunks(passages: &[Passage<'_>], size: ChunkSize) -> Vec<Chunk> {
    let mut found: Vec<Chunk> = Vec::new();
    let mut open: Option<Chunk> = None;
    for (heading, range, text) in passages.iter().flat_map(|passage| parts(passage, size)) {
        let text = sanitized(text);
        if let Some(chunk) = &mut open {
            let joined = chunk.text.len() + text.len() + 2 <= size.bytes
                && estimate_tokens(&chunk.text) + estimate_tokens(&text) < size.tokens;
            if joined {
                chunk.text.push_str("\n\n");
                chunk.text.push_str(&text);
                chunk.range.end = range.end;
                continue;
            }
        }
        found.extend(open.take());
        let context =
            heading.map(|heading| truncated(&sanitized(heading), size.bytes / 8).to_owned());
        let text = match context {
            Some(context) if !context.is_empty() => format!("{context}\n\n{text}"),
            _ => text,
        };
        open = Some(Chunk { text, range });
    }
    found.extend(open);
    found
}

type Part<'a> = (Option<&'a str>, Range<usize>, &'a str);

/// The passage in parts that fit, leaving room for the heading.
fn parts<'a>(passage: &Passage<'a>, size: ChunkSize) -> Vec<Part<'a>> {
    let room = size.bytes - size.bytes / 8 - 2;
    let fits = |text: &str| sanitized(text).len() <= room && estimate_tokens(text) < size.tokens;
    let heading = passage.heading.filter(|heading| *heading != passage.text);
    let heading = heading.filter(|_| !matches!(passage.kind, BlockKind::Heading(_)));
    let part = |range: Range<usize>| -> Option<Part<'a>> {
        let text = passage.text.get(range.clone())?;
        let start = passage.range.start;
        Some((heading, start + range.start..start + range.end, text))
    };
    if fits(passage.text) {
        return part(0..passage.text.len()).into_iter().collect();
    }
    let mut found = Vec::new();
    for sentence in sentences(passage.text) {
        let mut rest = sentence;
        while rest.start < rest.end {
            let text = passage.text.get(rest.clone()).unwrap_or_default();
            // A sentence that is too long is cut where the room ends; a quarter of the bytes in
            // the token limit is safe in every script.
            let mut most = if fits(text) { text.len() } else { room.min(text.len()) };
            while most > 4 && !fits(truncated(text, most)) {
                most /= 2;
            }
            let length = truncated(text, most.max(4)).len().max(1);
            found.extend(part(rest.start..rest.start + length));
            rest.start += length;
        }
    }
    found
}

/// The relevant chunks, best first, and the number of irrelevant ones: those that score less than
/// `min_score` or contain no term of the query. With a `min_score` of zero all are relevant.
pub(super) fn relevant(
    chunks: Vec<Chunk>,
    query: &Query,
    language: Language,
    min_score: f32,
) -> (Vec<(Chunk, f32)>, u32) {
    let texts: Vec<Vec<Token>> = chunks.iter().map(|chunk| tokens(&chunk.text, language)).collect();
    let scores = scores(query, &texts);
    let mut irrelevant = 0;
    let mut kept = Vec::new();
    for ((chunk, text), score) in chunks.into_iter().zip(&texts).zip(scores) {
        let found: BTreeSet<&Token> = text.iter().collect();
        let speaks = query.covered(&found) > 0 || query.is_marked(&found);
        if min_score > 0.0 && !(speaks && score >= min_score) {
            irrelevant += 1;
        } else {
            kept.push((chunk, score));
        }
    }
    kept.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.range.start.cmp(&b.0.range.start)));
    (kept, irrelevant)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::passage::blocks;
    use super::*;
    use crate::model::Content;

    proptest! {
        #[test]
        fn chunks_fit_and_lose_nothing(
            parts in prop::collection::vec("[a-zé所 .]{1,300}", 1..12), bytes in 64..400_usize,
        ) {
            let content = Content { text: parts.join("\n\n"), ..Content::default() };
            let passages = blocks(&content);
            let found = chunks(&passages, ChunkSize { bytes, tokens: 1000 });
            let mut covered = String::new();
            for chunk in &found {
                prop_assert!(chunk.text.len() <= bytes, "{} > {bytes}", chunk.text.len());
                prop_assert!(content.text.get(chunk.range.clone()).is_some());
                covered.push_str(&chunk.text);
            }
            let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(bare(&covered), bare(&content.text));
        }
    }
}
