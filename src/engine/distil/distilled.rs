//! The results of distilling.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Info, Span};

/// The result of distilling a page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distilled {
    /// Accepted infos, best first.
    pub infos: Vec<Info>,
    /// Claims of a model that were not accepted, and answers that could not be used.
    pub rejected: Vec<Rejected>,
    /// Spans of the page that read like instructions to a model.
    pub flagged: Vec<Flagged>,
    /// What it cost.
    pub usage: DistilUsage,
    /// Counts of the parts of the page that were not examined, if any.
    pub skipped: Option<NotRelevant>,
}

/// The cost of distilling a page. After a [`DistilError::Later`](super::DistilError::Later), the
/// cost since then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistilUsage {
    /// Calls of the model, cached ones included.
    pub calls: u64,
    /// Calls that the response cache answered.
    pub cache_hits: u64,
    /// Tokens sent.
    pub tokens_in: u64,
    /// Tokens received.
    pub tokens_out: u64,
}

/// A claim that was not accepted as an info.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// The fact as the model wrote it; empty if there was none.
    pub fact: String,
    /// The quote as the model wrote it; empty if there was none.
    pub quote: String,
    /// Why.
    pub why: RejectedWhy,
}

/// Why a claim was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
#[non_exhaustive]
pub enum RejectedWhy {
    /// The page does not contain the quote, or the quote is too short to tell.
    Ungrounded,
    /// The fact holds numbers, dates or names that the quote lacks.
    Unsupported {
        /// The first one missing.
        missing: String,
    },
    /// The fact differs from the quote, or is empty.
    Unrelated,
    /// The quote reads like an instruction to a model.
    Injection,
    /// The page already yielded the same info, or as many as the focus asks for.
    Superfluous,
    /// The model's answer as a whole could not be used.
    Answer {
        /// The kind of the error, in one word.
        kind: String,
        /// The error's message.
        message: String,
    },
}

impl fmt::Display for RejectedWhy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ungrounded => f.write_str("the page does not contain the quote"),
            Self::Unsupported { missing } => {
                write!(f, "the quote lacks {missing:?}, which the fact states")
            }
            Self::Unrelated => f.write_str("the quote does not state the fact"),
            Self::Injection => f.write_str("the quote reads like an instruction to a model"),
            Self::Superfluous => {
                f.write_str("the page yielded the same info, or enough infos, already")
            }
            Self::Answer { kind, message } => write!(f, "unusable answer ({kind}): {message}"),
        }
    }
}

/// A span of the page that reads like an instruction to a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flagged {
    /// Its position, in bytes of the content's text.
    pub span: Span,
    /// The phrase that it matched.
    pub phrase: String,
}

/// How many parts of a page were not examined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotRelevant {
    /// Parts (passages or chunks) with too little relevance to the focus.
    pub irrelevant: u32,
    /// Relevant parts beyond the limit.
    pub beyond_limit: u32,
}
