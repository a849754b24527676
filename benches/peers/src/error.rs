//! What can go wrong in a comparison.

use std::error::Error as StdError;
use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

/// An error of an engine, whatever its type.
pub(crate) type AnyError = Box<dyn StdError + Send + Sync>;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The command line makes no sense.
    #[error("{0}")]
    Usage(String),
    /// The operating system refused.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// There is nothing to crawl.
    #[error("no documentation in {path} (install it with `rustup component add rust-docs`)")]
    NoDocuments {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A child process failed or said nothing that can be understood.
    #[error("{name}: {problem}")]
    Child {
        /// Which child.
        name: String,
        /// What it did.
        problem: String,
    },
    /// An engine reported an error.
    #[error("{engine} failed")]
    Engine {
        /// Which engine.
        engine: &'static str,
        /// What it reported.
        #[source]
        source: AnyError,
    },
    /// An engine claims what the server, or a second look, does not confirm.
    #[error("{engine} claims {claimed} pages, but {witness} {confirmed}")]
    FalseClaim {
        /// Which engine.
        engine: &'static str,
        /// Pages it claims.
        claimed: u64,
        /// The source of the contradicting number, as the words before it.
        witness: &'static str,
        /// Pages that are confirmed.
        confirmed: u64,
    },
}

impl Error {
    /// For `map_err`: an operating system error with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// The error and its causes on one line.
pub(crate) fn with_causes(error: &dyn StdError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing into a `String` cannot fail.
        let _ = write!(line, ": {error}");
        cause = error.source();
    }
    line
}
