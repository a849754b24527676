//! What comes out is bounded by what goes in.
//!
//! Text, block data and Markdown together are at most four times the body and 64 KiB. A page made
//! to exceed that loses its Markdown first and its text last, both from the end and by whole blocks,
//! so that the blocks that stay still cover the text.

use xxhash_rust::xxh3::xxh3_64;

use super::fingerprint::normalise;
use crate::model::{Block, BlockKind, Span, Truncated};

/// Bytes that come out for one of the body.
const FACTOR: usize = 4;
/// Bytes that may come out of any body.
const ALLOWANCE: usize = 64 << 10;

/// Most bytes of text, block data and Markdown of a body.
pub(super) const fn output_limit(body: usize) -> usize {
    body.saturating_mul(FACTOR).saturating_add(ALLOWANCE)
}

/// Text that stops growing at a limit. What exceeds it is not written, and nothing after it.
#[derive(Debug, Default)]
pub(super) struct Bounded {
    text: String,
    limit: usize,
    overflowed: bool,
}

impl Bounded {
    /// Empty, for at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self { text: String::new(), limit, overflowed: false }
    }

    /// Appends `text`, unless it does not fit.
    pub(super) fn push_str(&mut self, text: &str) {
        self.overflowed |= text.len() > self.limit.saturating_sub(self.text.len());
        if !self.overflowed {
            self.text.push_str(text);
        }
    }

    /// Appends `character`, unless it does not fit.
    pub(super) fn push(&mut self, character: char) {
        self.push_str(character.encode_utf8(&mut [0; 4]));
    }

    /// What was written.
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether nothing was written.
    pub(super) const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// How many bytes still fit.
    pub(super) fn room(&self) -> usize {
        if self.overflowed { 0 } else { self.limit.saturating_sub(self.text.len()) }
    }

    /// Gives up: nothing is written from now on.
    pub(super) const fn overflow(&mut self) {
        self.overflowed = true;
    }

    /// Whether something was not written.
    pub(super) const fn has_overflowed(&self) -> bool {
        self.overflowed
    }

    /// Removes what follows the first `length` bytes; nothing is written from then on.
    fn close_at(&mut self, length: usize) {
        self.text.truncate(length);
        self.overflowed = true;
    }
}

/// The text of a document in its forms.
#[derive(Debug, Default)]
pub(super) struct Rendered {
    /// Blocks joined by blank lines.
    pub(super) text: String,
    /// Their spans and kinds.
    pub(super) blocks: Vec<Block>,
    /// The same as Markdown.
    pub(super) markdown: String,
    /// What was cut.
    pub(super) truncated: Truncated,
}

/// Between two texts that are joined.
const JOINT: &str = "\n\n";

impl Rendered {
    /// How many bytes of output may be added under `limit`.
    pub(super) fn room(&self, limit: usize) -> usize {
        let blocks = self.blocks.len() * size_of::<Block>();
        limit.saturating_sub(self.text.len() + self.markdown.len() + blocks + 2 * JOINT.len())
    }

    /// Puts the blocks of `other` behind those that are here.
    pub(super) fn append(&mut self, other: Self) {
        self.truncated.text |= other.truncated.text;
        self.truncated.markdown |= other.truncated.markdown;
        if other.text.is_empty() {
            return;
        }
        for (all, text) in [(&mut self.text, &other.text), (&mut self.markdown, &other.markdown)] {
            all.truncate(all.trim_end().len());
            if !all.is_empty() {
                all.push_str(JOINT);
            }
            all.push_str(text);
        }
        let shift = (self.text.len() - other.text.len()) as u64;
        let before = u32::try_from(self.blocks.len()).unwrap_or(u32::MAX);
        self.blocks.extend(other.blocks.into_iter().map(|block| Block {
            span: Span { start: block.span.start + shift, end: block.span.end + shift },
            heading: block.heading.map(|heading| heading.saturating_add(before)),
            ..block
        }));
    }
}

/// The text of a document while it is written, and where its Markdown may be cut.
#[derive(Debug)]
pub(super) struct Output {
    text: String,
    blocks: Vec<Block>,
    /// Index of the last heading.
    heading: Option<u32>,
    /// Where the Markdown of each block ends.
    ends: Vec<usize>,
    limit: usize,
    truncated: Truncated,
}

impl Output {
    /// An empty output for at most `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            blocks: Vec::new(),
            heading: None,
            ends: Vec::new(),
            limit,
            truncated: Truncated::default(),
        }
    }

    /// Bytes that text and block data take.
    fn size(&self) -> usize {
        self.text.len() + self.blocks.len() * size_of::<Block>()
    }

    /// Whether the text was cut; no block is added any more.
    pub(super) const fn is_full(&self) -> bool {
        self.truncated.text
    }

    /// Adds a block to the text; false if it does not fit.
    pub(super) fn block(&mut self, text: &str, kind: BlockKind) -> bool {
        let size = self.size() + "\n\n".len() + text.len() + size_of::<Block>();
        if self.truncated.text || size > self.limit {
            self.truncated.text = true;
            self.truncated.markdown = true;
            return false;
        }
        if !self.text.is_empty() {
            self.text.push_str("\n\n");
        }
        let start = self.text.len();
        self.text.push_str(text);
        let heading = self.heading;
        if let BlockKind::Heading(_) = kind {
            self.heading = u32::try_from(self.blocks.len()).ok();
        }
        self.blocks.push(Block {
            span: (start..self.text.len()).into(),
            kind,
            heading,
            hash: xxh3_64(normalise(text).as_bytes()),
        });
        true
    }

    /// A block of `markdown` has been written: cuts it at the end of the last block that fits beside
    /// the text.
    pub(super) fn fit(&mut self, markdown: &mut Bounded) {
        let room = self.limit.saturating_sub(self.size() + "\n".len());
        if !markdown.has_overflowed() {
            self.ends.push(markdown.as_str().len());
            if markdown.as_str().len() <= room {
                return;
            }
        }
        while self.ends.last().is_some_and(|end| *end > room) {
            self.ends.pop();
        }
        markdown.close_at(self.ends.last().copied().unwrap_or(0));
        self.truncated.markdown = true;
    }

    /// The finished document, its Markdown ended by a line feed unless it is empty.
    pub(super) fn finish(self, markdown: Bounded) -> Rendered {
        let Self { text, blocks, truncated, .. } = self;
        let mut markdown = markdown.text;
        if !markdown.is_empty() {
            markdown.push('\n');
        }
        Rendered { text, blocks, markdown, truncated }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_not_written_and_nothing_after_it() {
        let mut bounded = Bounded::new(4);
        bounded.push_str("abc");
        bounded.push('é');
        bounded.push('d');
        assert_eq!((bounded.as_str(), bounded.has_overflowed()), ("abc", true));
    }

    #[test]
    fn markdown_is_cut_before_text_and_both_at_the_ends_of_blocks() {
        let block = size_of::<Block>();
        let mut output = Output::new(3 * block + 30);
        let mut markdown = Bounded::new(usize::MAX);
        for (text, kept) in [("one", "**one**"), ("two", "**one****two**"), ("three", "")] {
            assert!(output.block(text, BlockKind::Paragraph));
            markdown.push_str("**");
            markdown.push_str(text);
            markdown.push_str("**");
            output.fit(&mut markdown);
            assert!(markdown.as_str().starts_with(kept));
        }
        assert_eq!(output.text, "one\n\ntwo\n\nthree");
        assert_eq!(markdown.as_str(), "**one****two**");
        assert_eq!(output.truncated, Truncated { markdown: true, ..Truncated::default() });
        assert!(!output.block("four", BlockKind::Paragraph) && output.is_full());
        output.fit(&mut markdown);
        assert_eq!(output.blocks.len(), 3);
        let rendered = output.finish(markdown);
        assert_eq!(rendered.markdown, "**one****two**\n");
        assert!(rendered.truncated.text);
    }
}
