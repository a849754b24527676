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
mod claims;
mod extractive;
mod fold;
mod fuzzy;
mod ground;
mod injection;
mod key;
mod language;
mod llm;
mod passage;
mod prompt;
mod support;
mod tokens;

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::cancel::CancelToken;
use crate::llm::LlmError;
use crate::model::{Content, Focus, Info, Span};
use crate::time::Timestamp;

pub use extractive::{Extractive, ExtractiveOptions};
pub use ground::{Grounder, ground};
pub use key::InfoKey;
pub use llm::{LlmDistiller, LlmDistillerOptions};
pub(super) use prompt::Frames;

/// Makes infos of the content of one page.
pub trait Distiller: Send + Sync + fmt::Debug {
    /// What `request.content` says on `request.focus`. May wait on the calling thread.
    fn distil(
        &self,
        request: &DistilRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError>;

    /// Like [`Distiller::distil`], but where that would wait before it tries something again, this
    /// fails with [`DistilError::Later`] and is called again after the wait, with the resumption
    /// that the error carried. The text of `request.content` is the same then; the times may not
    /// be.
    ///
    /// The engine calls this one: its workers do not wait. By default it is `distil`, which begins
    /// anew each time. That suits distillers that never wait, and those that fail with `Later` and
    /// remember by themselves what is not to be done twice.
    fn distil_or_later(
        &self,
        request: &DistilRequest<'_>,
        resumption: Option<Resumption>,
        cancel: &CancelToken,
    ) -> Result<Distilled, DistilError> {
        // Who leaves this method as it is has put nothing in.
        drop(resumption);
        self.distil(request, cancel)
    }

    /// A short name for logs and statistics.
    fn name(&self) -> &'static str;
}

/// What a distiller goes on from after a [`DistilError::Later`]: the state that it put in, and that
/// only it can read. Kept in memory only, so a process that takes the page up later begins anew.
pub struct Resumption(Box<dyn Any + Send + Sync>);

impl Resumption {
    /// Holds `state`.
    pub fn new(state: impl Any + Send + Sync) -> Self {
        Self(Box::new(state))
    }

    /// The state, if it is a `T`.
    pub fn into_state<T: Any>(self) -> Option<T> {
        self.0.downcast().ok().map(|state| *state)
    }
}

impl fmt::Debug for Resumption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resumption").finish_non_exhaustive()
    }
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

/// What distilling a page cost; after a [`DistilError::Later`], since then.
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

impl fmt::Display for RejectedWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ungrounded => f.write_str("the quote does not stand in the page"),
            Self::Unsupported { missing } => write!(f, "the quote lacks {missing:?} of the fact"),
            Self::Unrelated => f.write_str("the fact is not what the quote says"),
            Self::Injection => f.write_str("the quote reads like an instruction to a model"),
            Self::Superfluous => f.write_str("there is the same info, or there are enough"),
            Self::Answer { kind, message } => write!(f, "unusable answer ({kind}): {message}"),
        }
    }
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
    /// The page is to be tried again after a wait, as [`Distiller::distil_or_later`] tells. A
    /// distiller of yours may fail so too, from `distil` also: for a server that is busy, a limit
    /// on requests, anything that passes.
    ///
    /// The engine gives the thread to another page, keeps this one for itself and comes back when
    /// the wait is over; the run does not end before. It comes back to a page at most 100 times and
    /// waits at most an hour at once; beyond that the page counts as failed, and stays for the next
    /// run of its job.
    #[error("{url} is to be distilled again in {wait:?}")]
    Later {
        /// The page.
        url: Box<Url>,
        /// What was spent, but for what earlier errors of this kind have told.
        usage: DistilUsage,
        /// How long to wait.
        wait: Duration,
        /// What to go on from; `None`: from the beginning.
        resumption: Option<Resumption>,
        /// What makes the wait necessary.
        #[source]
        source: Box<dyn Error + Send + Sync>,
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
            Self::Cancelled { usage, .. } | Self::Later { usage, .. } | Self::Llm { usage, .. } => {
                *usage
            }
            Self::PromptFull { .. } | Self::Template { .. } => DistilUsage::default(),
        }
    }

    /// The same page may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Cancelled { .. } | Self::Later { .. } => true,
            Self::Llm { source, .. } => source.is_transient(),
            Self::PromptFull { .. } | Self::Template { .. } => false,
        }
    }
}

/// The fingerprint of the content's text in hexadecimal, as infos carry it.
fn content_hash(content: &Content) -> String {
    blake3::Hash::from_bytes(content.fingerprint.text).to_hex().to_string()
}
