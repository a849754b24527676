//! Why extraction refuses a body.

use thiserror::Error;
use url::Url;

/// Why a body was not extracted. Malformed markup is never an error.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ExtractError {
    /// The body is longer than [`max_bytes`](super::ExtractOptions::max_bytes).
    #[error("{url}: body of {bytes} bytes is larger than the limit of {limit}")]
    TooLarge {
        /// The page.
        url: Url,
        /// Length of the body.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The document has more elements and runs of text than
    /// [`max_nodes`](super::ExtractOptions::max_nodes).
    #[error("{url}: more than {limit} elements and texts")]
    TooManyNodes {
        /// The page.
        url: Url,
        /// The limit.
        limit: usize,
    },
    /// The media type is not supported.
    #[error("{url}: {media_type} is not a type of document that is read")]
    UnsupportedType {
        /// The page.
        url: Url,
        /// Its media type in lower case.
        media_type: String,
    },
}
