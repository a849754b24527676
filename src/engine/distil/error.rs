//! Errors of distilling.

use std::error::Error;
use std::time::Duration;

use url::Url;

use super::distilled::DistilUsage;
use super::distiller::Resumption;
use crate::llm::LlmError;

/// Why distilling a page failed. The page may be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DistilError {
    /// The token was cancelled.
    #[error("distilling {url} was cancelled")]
    Cancelled {
        /// The page.
        url: Box<Url>,
        /// The cost so far.
        usage: DistilUsage,
    },
    /// The page is to be tried again after a wait; see
    /// [`distil_or_later`](super::Distiller::distil_or_later). Your own distiller may return this
    /// too, also from `distil`: for a busy server, a limit on requests, or anything else that
    /// passes.
    ///
    /// The engine gives the thread to another page and returns to this one when the wait is over;
    /// the run does not end before. It returns to a page at most 100 times, and waits at most an
    /// hour each time. Beyond that the page counts as failed, and stays for the next run of its
    /// job.
    #[error("distilling {url} must wait for {wait:?}")]
    Later {
        /// The page.
        url: Box<Url>,
        /// The cost since the last error of this kind.
        usage: DistilUsage,
        /// How long to wait.
        wait: Duration,
        /// The state to resume from; `None`: start from the beginning.
        resumption: Option<Resumption>,
        /// The reason for the wait.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The model could not be asked.
    #[error("cannot ask the model about {url}")]
    Llm {
        /// The page.
        url: Box<Url>,
        /// The cost so far.
        usage: DistilUsage,
        /// The error.
        #[source]
        source: Box<LlmError>,
    },
    /// Instructions, schema and focus leave no room for the page within the size of a prompt.
    #[error(
        "the prompt takes {bytes} bytes without the page, which leaves no room for it within {limit}"
    )]
    PromptFull {
        /// Bytes of the prompt without the page.
        bytes: usize,
        /// Most bytes of a prompt.
        limit: usize,
    },
    /// A template of the prompt could not be expanded.
    #[error("cannot write the prompt for {url}")]
    Template {
        /// The page.
        url: Box<Url>,
        /// The template engine's error.
        #[source]
        source: minijinja::Error,
    },
    /// For a distiller of your own: a failure that a short wait would not cure. The page counts as
    /// failed. Later runs try it again, up to `distil.max_attempts` times in all.
    #[error("cannot distil {url}")]
    Failed {
        /// The page.
        url: Box<Url>,
        /// The cost so far.
        usage: DistilUsage,
        /// The cause.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl DistilError {
    /// The cost before the failure.
    pub fn usage(&self) -> DistilUsage {
        match self {
            Self::Cancelled { usage, .. }
            | Self::Later { usage, .. }
            | Self::Llm { usage, .. }
            | Self::Failed { usage, .. } => *usage,
            Self::PromptFull { .. } | Self::Template { .. } => DistilUsage::default(),
        }
    }

    /// Whether the same page may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Cancelled { .. } | Self::Later { .. } => true,
            Self::Llm { source, .. } => source.is_transient(),
            Self::PromptFull { .. } | Self::Template { .. } | Self::Failed { .. } => false,
        }
    }
}
