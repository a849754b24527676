//! What can go wrong in an engine.

use std::path::PathBuf;

use crate::config::ConfigError;
use crate::crawl::ScopeError;
use crate::extract::SelectorError;
use crate::http::HttpError;
use crate::llm::LlmError;
use crate::pool::PoolError;
use crate::store::StoreError;
use crate::url::UrlError;

/// Every error of the engine's operations. Errors of the parts appear as sources.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A selector in the settings cannot be read.
    #[error("{key} is not valid")]
    Selector {
        /// Dotted name of the setting.
        key: &'static str,
        /// The selector, and what is wrong with it.
        #[source]
        source: SelectorError,
    },
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A pool could not start or stop.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The network layer could not be set up.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The model's client could not be set up.
    #[error(transparent)]
    Llm(#[from] LlmError),
    /// The scope of a job is invalid.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// The given URL cannot be fetched.
    #[error("not a URL that can be fetched: {url}")]
    Url {
        /// The text given.
        url: String,
        /// What is wrong with it.
        #[source]
        source: UrlError,
    },
    /// The job has no sources.
    #[error("the job {job:?} has no source")]
    NoSource {
        /// Its name.
        job: String,
    },
    /// A job of this name is already running in this engine.
    #[error("the job {job:?} is already running")]
    AlreadyRunning {
        /// Its name.
        job: String,
    },
    /// A file given by the user could not be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The directory holds no store, and none was to be created.
    #[error("nothing is stored in {}", dir.display())]
    NothingStored {
        /// The directory.
        dir: PathBuf,
    },
    /// A stored row cannot be decoded.
    #[error("the row {key} of {keyspace} cannot be read")]
    Row {
        /// The keyspace.
        keyspace: &'static str,
        /// The key, in hexadecimal where it is not text.
        key: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A run ended early.
    #[error("the job {job:?} could not go on")]
    Run {
        /// Its name.
        job: String,
        /// Why.
        #[source]
        source: std::sync::Arc<Error>,
    },
    /// A task of a run panicked; the panic hook has printed where.
    #[error("{what} panicked")]
    Panicked {
        /// What the task did.
        what: &'static str,
    },
    /// The engine is closed, or closing.
    #[error("the engine is closed")]
    Closed,
    /// An operation did not end before its deadline.
    #[error("{what} did not end within {deadline:?}")]
    Deadline {
        /// What was waited for.
        what: &'static str,
        /// How long.
        deadline: std::time::Duration,
    },
}
