//! What can go wrong while a page is distilled.

use std::error::Error;
use std::time::Duration;

use url::Url;

use super::distilled::DistilUsage;
use super::distiller::Resumption;
use crate::llm::LlmError;

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
    /// The page is to be tried again after a wait, as
    /// [`distil_or_later`](super::Distiller::distil_or_later) tells. A distiller of yours may fail
    /// so too, from `distil` also: for a server that is busy, a limit on requests, anything that
    /// passes.
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
