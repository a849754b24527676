//! One fact with its citation.

use serde::{Deserialize, Serialize};
use url::Url;

use crate::time::Timestamp;

/// A half-open range of bytes, written `[start, end]` in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "[u64; 2]", into = "[u64; 2]")]
pub struct Span {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
}

impl Span {
    /// The part of `text` that this span covers; `None` if it exceeds the text or cuts a character.
    pub fn of(self, text: &str) -> Option<&str> {
        text.get(usize::try_from(self.start).ok()?..usize::try_from(self.end).ok()?)
    }
}

impl From<std::ops::Range<usize>> for Span {
    fn from(range: std::ops::Range<usize>) -> Self {
        Self { start: range.start as u64, end: range.end as u64 }
    }
}

impl From<[u64; 2]> for Span {
    fn from([start, end]: [u64; 2]) -> Self {
        Self { start, end }
    }
}

impl From<Span> for [u64; 2] {
    fn from(span: Span) -> Self {
        [span.start, span.end]
    }
}

/// How the quote of an info was found in the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grounding {
    /// Byte for byte.
    Exact,
    /// After folding white space, case and compatibility forms (NFKC).
    Normalised,
    /// Within a bounded edit distance.
    Fuzzy,
    /// Not found: the info is quarantined.
    Ungrounded,
}

/// One fact with the passage it comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Info {
    /// The fact in one sentence or passage.
    pub fact: String,
    /// Fields by the schema of the focus; `null` if it has none.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub fields: serde_json::Value,
    /// URL of the page with the quote: the one under which its text is stored.
    pub url: Url,
    /// The evidence: exactly the bytes of the stored text at `span`.
    pub quote: String,
    /// The position of the quote, in bytes of the stored text.
    pub span: Span,
    /// Text of the focus this answers.
    pub focus: String,
    /// How the quote was found.
    pub grounding: Grounding,
    /// Relevance to the focus, higher is better; comparable only within one focus.
    pub score: f32,
    /// When the page was fetched.
    pub fetched_at: Timestamp,
    /// Publication date as the page gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_at: Option<String>,
    /// BLAKE3 of the normalised text of the page, in hexadecimal.
    pub content_hash: String,
    /// Other pages that state the same fact.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also_at: Vec<Citation>,
    /// The model that answered, as the server named it; absent for the extractive distiller.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The server's id of the request, if it sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Whether the answer came from the response cache.
    #[serde(default)]
    pub cache_hit: bool,
    /// When the info was accepted.
    pub created_at: Timestamp,
}

/// A passage that states the fact of an info.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// URL of the page.
    pub url: Url,
    /// Exactly the bytes of the stored text at `span`.
    pub quote: String,
    /// The position of the quote, in bytes of the stored text.
    pub span: Span,
}

impl Citation {
    /// The passage that `info` cites.
    pub fn of(info: &Info) -> Self {
        Self { url: info.url.clone(), quote: info.quote.clone(), span: info.span }
    }
}
