//! Contents: the results of extraction.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use super::Span;

/// The result of extracting a page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// Title of the document, without the name of its site.
    pub title: Option<String>,
    /// Language as a BCP 47 tag, as the document declares it.
    pub language: Option<String>,
    /// The authors in one line, separated by commas.
    pub author: Option<String>,
    /// Names of the authors, as written. Empty for contents stored before they were read.
    #[serde(default)]
    pub authors: Vec<String>,
    /// The page's own description or summary.
    pub description: Option<String>,
    /// Date of publication, in the form of RFC 3339: `2024-05-09`, or with the time and zone that
    /// the page gives.
    pub published_at: Option<String>,
    /// Date of the last change, in the same form.
    #[serde(default)]
    pub modified_at: Option<String>,
    /// Image that stands for the page where it is shared.
    #[serde(default)]
    pub image: Option<Url>,
    /// Name of the site.
    #[serde(default)]
    pub site_name: Option<String>,
    /// The page's canonical URL, if it declares one.
    pub canonical: Option<Url>,
    /// Main text: blocks separated by one blank line, without markup. Spans of infos are byte
    /// offsets into it.
    pub text: String,
    /// Main content as Markdown.
    pub markdown: String,
    /// The blocks of `text`, in order, not overlapping.
    pub blocks: Vec<Block>,
    /// Links of the whole document in document order, without fragments, each URL once.
    pub links: Vec<Link>,
    /// The page asks not to be indexed (`<meta name=robots content=noindex>`).
    pub noindex: bool,
    /// The page asks that its links not be followed (`nofollow`).
    pub nofollow: bool,
    /// What kind of page it is; `None` for documents without markup, and for contents that were
    /// stored before this was judged.
    #[serde(default)]
    pub page_type: Option<PageType>,
    /// Name of the character encoding that was used to read the page.
    pub charset: String,
    /// Fingerprints for duplicate detection.
    pub fingerprint: Fingerprint,
    /// What was left out because it exceeded a bound.
    #[serde(default)]
    pub truncated: Truncated,
    /// Version of the extractor that made this; 0 for contents stored before there were versions.
    #[serde(default)]
    pub extractor: u32,
}

/// What a content leaves out because it exceeded a bound. Each part is cut at the end of a block or
/// before a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Truncated {
    /// The text and its blocks, and with them the Markdown.
    pub text: bool,
    /// The Markdown.
    pub markdown: bool,
    /// The links.
    pub links: bool,
}

impl Truncated {
    /// Whether anything was left out.
    pub const fn any(self) -> bool {
        self.text || self.markdown || self.links
    }

    /// Whether nothing was left out.
    pub const fn is_none(&self) -> bool {
        !self.any()
    }
}

impl fmt::Display for Truncated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [("text", self.text), ("Markdown", self.markdown), ("links", self.links)];
        let mut cut = parts.iter().filter(|(_, cut)| *cut).map(|(name, _)| *name);
        f.write_str(cut.next().unwrap_or("nothing"))?;
        cut.try_for_each(|name| write!(f, ", {name}"))
    }
}

/// What a page is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PageKind {
    /// A text to be read from start to end: news, posts, essays.
    #[default]
    Article,
    /// Manuals, references, tutorials.
    Documentation,
    /// Posts of several people: threads, questions with answers.
    Forum,
    /// Entries that lead to other pages: indexes, results, front pages.
    Listing,
    /// Goods to choose from.
    Collection,
    /// One thing on sale.
    Product,
    /// What someone offers: landing pages, services, portraits of companies.
    Service,
}

/// The kind that a page was judged to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageType {
    /// The most likely kind.
    pub kind: PageKind,
    /// How sure that is, in percent.
    pub confidence: u8,
}

impl Content {
    /// A copy without text, Markdown and links, which are stored separately.
    #[must_use]
    pub fn without_bodies(&self) -> Self {
        Self {
            title: self.title.clone(),
            language: self.language.clone(),
            author: self.author.clone(),
            authors: self.authors.clone(),
            description: self.description.clone(),
            published_at: self.published_at.clone(),
            modified_at: self.modified_at.clone(),
            image: self.image.clone(),
            site_name: self.site_name.clone(),
            canonical: self.canonical.clone(),
            text: String::new(),
            markdown: String::new(),
            blocks: self.blocks.clone(),
            links: Vec::new(),
            noindex: self.noindex,
            nofollow: self.nofollow,
            page_type: self.page_type,
            charset: self.charset.clone(),
            fingerprint: self.fingerprint,
            truncated: self.truncated,
            extractor: self.extractor,
        }
    }
}

/// One block of the main text: a paragraph, a heading, a list item …
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Bytes of `Content::text`.
    pub span: Span,
    /// What kind of block it is.
    pub kind: BlockKind,
    /// Index in `Content::blocks` of the nearest heading above.
    pub heading: Option<u32>,
    /// XXH3 of the block's normalised text.
    pub hash: u64,
}

/// Kinds of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BlockKind {
    /// A heading of level 1 to 6.
    Heading(u8),
    /// A paragraph, or any other run of text.
    Paragraph,
    /// An item of a list.
    ListItem,
    /// A quotation.
    Quote,
    /// Preformatted text or code.
    Code,
    /// A row of a table, its cells separated by tabs.
    TableRow,
}

/// A link found in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Absolute URL, resolved against `<base>`, without fragment.
    pub url: Url,
    /// Text of the anchor, white space collapsed, at most 200 bytes.
    pub text: String,
    /// Whether `rel` contains `nofollow`.
    pub nofollow: bool,
}

/// Fingerprints of a content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// BLAKE3 of the normalised text; equal for exact duplicates.
    pub text: [u8; 32],
    /// `SimHash` of the word shingles; near duplicates differ in few bits.
    pub simhash: u64,
}
