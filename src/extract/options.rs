//! Limits on the input, and wishes on what comes out.

use super::selector::Selector;
use crate::model::{Comments, Favour};

/// Limits on the input, and wishes on what comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtractOptions {
    /// Longest body, in bytes; longer ones are refused. Default: 16 MiB.
    pub max_bytes: usize,
    /// Deepest nesting that is kept; deeper elements become siblings of the deepest. Default: 512,
    /// as in browsers.
    pub max_depth: usize,
    /// Most elements and runs of text; documents with more are refused. Default: 1,000,000.
    pub max_nodes: usize,
    /// Most links that are kept; those after them are not read. Default: 50,000.
    pub max_links: usize,
    /// What is worse where the rules are in doubt: text too much, or text too little. Default:
    /// neither.
    pub favour: Favour,
    /// What becomes of readers' comments. Default: kept where they are the page's content, on a
    /// forum for instance.
    pub comments: Comments,
    /// Keep tables of data. Tables that only lay out a page always stay. Default: true.
    pub tables: bool,
    /// Write images into the Markdown. Default: true.
    pub images: bool,
    /// Write the targets of links into the Markdown. Their text and
    /// [`Content::links`](crate::model::Content::links) stay without it. Default: true.
    pub links: bool,
    /// The content is what these match, without the rules that choose it; only what is hidden is
    /// left out. The rules choose on pages where none matches. Default: none.
    pub keep: Vec<Selector>,
    /// What these match is not content, inside what [`keep`](Self::keep) matches too. Default:
    /// none.
    pub remove: Vec<Selector>,
}

impl Default for ExtractOptions {
    fn default() -> Self {
        Self {
            max_bytes: 16 << 20,
            max_depth: 512,
            max_nodes: 1_000_000,
            max_links: 50_000,
            favour: Favour::default(),
            comments: Comments::default(),
            tables: true,
            images: true,
            links: true,
            keep: Vec::new(),
            remove: Vec::new(),
        }
    }
}
