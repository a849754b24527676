//! What a distiller answers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Info, Span};

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

/// What distilling a page cost; after a [`DistilError::Later`](super::DistilError::Later), since then.
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
