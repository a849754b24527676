//! Distilling: from a content and a focus to infos that cite their passage.
//!
//! A [`Distiller`] takes the content of one page and one focus. There are two:
//!
//! * [`Extractive`] needs no key, no network and no model. It ranks the passages of the content
//!   against the focus (BM25 over language-aware tokens) and returns the best; the fact is the
//!   passage.
//! * [`LlmDistiller`] sends the relevant chunks of the content to a model, which writes each fact
//!   and quotes its evidence.
//!
//! Invariants: the quote of every info is exactly the bytes of `content.text` at its span. What a
//! model says is an info only if its quote is found in the page ([`ground`]) and its numbers,
//! dates and names stand in the quote; all else is [`Rejected`]. Page text is data: it is never
//! expanded as a template, and it cannot end the block it stands in.

mod bm25;
mod chunk;
mod extractive;
mod fold;
mod fuzzy;
mod ground;
mod injection;
mod key;
mod language;
mod model;
mod passage;
mod prompt;
mod support;
mod tokens;

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::cancel::CancelToken;
use crate::llm::LlmError;
use crate::model::{Content, Focus, Info, Span};
use crate::time::Timestamp;

pub use extractive::{Extractive, ExtractiveOptions};
pub use ground::{Grounder, ground};
pub use key::InfoKey;
pub use model::{LlmDistiller, LlmDistillerOptions};

/// Makes infos of the content of one page.
pub trait Distiller: Send + Sync + fmt::Debug {
    /// What `request.content` says on `request.focus`.
    fn distil(
        &self,
        request: &DistilRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError>;

    /// A short name for logs and statistics.
    fn name(&self) -> &'static str;
}

/// A page and what is wanted of it.
#[derive(Clone, Copy, Debug)]
pub struct DistilRequest<'a> {
    /// URL under which the text of the page is stored.
    pub url: &'a Url,
    /// The content of the page.
    pub content: &'a Content,
    /// What the user wants to know.
    pub focus: &'a Focus,
    /// When the page was fetched.
    pub fetched_at: Timestamp,
    /// The time of acceptance.
    pub now: Timestamp,
}

/// What a distiller made of a page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distilled {
    /// Accepted infos, best first.
    pub infos: Vec<Info>,
    /// What a model said and was not accepted, and answers that could not be used.
    pub rejected: Vec<Rejected>,
    /// Spans of the page that read like instructions to a model.
    pub flagged: Vec<Flagged>,
    /// What it cost.
    pub usage: DistilUsage,
    /// Why nothing, or not everything, was looked at.
    pub skipped: Option<NotRelevant>,
}

/// What distilling a page cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistilUsage {
    /// Calls of the model, cached ones included.
    pub calls: u64,
    /// Calls that the response cache answered.
    pub cache_hits: u64,
    /// Tokens of prompts that were sent.
    pub tokens_in: u64,
    /// Tokens of answers that were received.
    pub tokens_out: u64,
}

/// Something that was not accepted as an info.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// The fact as the model wrote it; empty where there was none.
    pub fact: String,
    /// The quote as the model wrote it; empty where there was none.
    pub quote: String,
    /// Why.
    pub why: RejectedWhy,
}

/// Why something was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RejectedWhy {
    /// The quote does not stand in the page, or is too short to tell.
    Ungrounded,
    /// The fact holds numbers, dates or names that the quote lacks.
    Unsupported {
        /// The first that is missing.
        missing: String,
    },
    /// The fact says something else than the quote, or nothing.
    Unrelated,
    /// The quote reads like an instruction to a model.
    Injection,
    /// The page has the same info already, or as many as the focus asks for.
    Superfluous,
    /// The answer of the model as a whole could not be used.
    Answer {
        /// One word for what was wrong with it.
        kind: String,
        /// The words of the error.
        message: String,
    },
}

/// A span of the page that reads like an instruction to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flagged {
    /// Where it stands, in bytes of the content's text.
    pub span: Span,
    /// The phrase that it was told by.
    pub phrase: String,
}

/// Why parts of a page were not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRelevant {
    /// Parts (passages or chunks) that say too little of the focus.
    pub irrelevant: u32,
    /// Relevant parts beyond the most that are looked at.
    pub beyond_limit: u32,
}

/// Distilling failed; the page may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistilError {
    /// The token was cancelled.
    #[error("distilling {url} was cancelled")]
    Cancelled {
        /// The page.
        url: Box<Url>,
        /// What was spent before.
        usage: DistilUsage,
    },
    /// The model could not be asked.
    #[error("the model could not be asked about {url}")]
    Llm {
        /// The page.
        url: Box<Url>,
        /// What was spent before.
        usage: DistilUsage,
        /// What happened.
        #[source]
        source: Box<LlmError>,
    },
    /// Instructions, schema and focus leave no room for the page within the size of a prompt.
    #[error("the prompt without the page has {bytes} bytes, which leaves no room within {limit}")]
    PromptFull {
        /// Bytes of the prompt without the page.
        bytes: usize,
        /// Most bytes of a prompt.
        limit: usize,
    },
    /// A template of the prompt could not be expanded.
    #[error("the prompt for {url} could not be written")]
    Template {
        /// The page.
        url: Box<Url>,
        /// What the template engine says.
        #[source]
        source: minijinja::Error,
    },
}

impl DistilError {
    /// What was spent before the failure.
    pub fn usage(&self) -> DistilUsage {
        match self {
            Self::Cancelled { usage, .. } | Self::Llm { usage, .. } => *usage,
            Self::PromptFull { .. } | Self::Template { .. } => DistilUsage::default(),
        }
    }

    /// The same page may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Cancelled { .. } => true,
            Self::Llm { source, .. } => source.is_transient(),
            Self::PromptFull { .. } | Self::Template { .. } => false,
        }
    }
}

/// The fingerprint of the content's text in hexadecimal, as infos carry it.
fn content_hash(content: &Content) -> String {
    blake3::Hash::from_bytes(content.fingerprint.text).to_hex().to_string()
}
