//! Why a fetch brought no page.

use std::error::Error;

use thiserror::Error;

use crate::http::HttpError;
use crate::model::Reason;

/// Why a redirect cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// The response has no `location`.
    #[error("redirect without a location")]
    Missing,
    /// The location is not a URL, or cannot be resolved against the page's.
    #[error("redirect to a malformed location {location:?}")]
    Malformed {
        /// The location as received.
        location: String,
        /// What is wrong with it.
        source: url::ParseError,
    },
    /// The location is neither http nor https.
    #[error("redirect to {location}, which is not http or https")]
    Scheme {
        /// The location, resolved.
        location: String,
    },
}

/// Why a fetch brought no page.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The given URL is malformed, or neither http nor https.
    #[error("{url:?} is not a URL that can be fetched")]
    Url {
        /// The URL as given.
        url: String,
        /// What is wrong with it; `None` if only its scheme is.
        source: Option<url::ParseError>,
    },
    /// An exchange failed.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A redirect cannot be followed.
    #[error("{url}: cannot follow the redirect")]
    Redirect {
        /// The URL that redirects.
        url: String,
        /// What is wrong with it.
        source: RedirectError,
    },
    /// More redirects than are followed.
    #[error("{url}: more than {limit} redirects")]
    TooManyRedirects {
        /// The requested URL.
        url: String,
        /// How many are followed.
        limit: u32,
    },
    /// A redirect leads back to a URL that redirected before.
    #[error("{url}: redirects lead back to {again}")]
    RedirectLoop {
        /// The requested URL.
        url: String,
        /// The URL met twice.
        again: String,
    },
    /// The response has a media type that is not read.
    #[error("{url}: {media_type} is not read")]
    Media {
        /// The URL of the response.
        url: String,
        /// Its media type.
        media_type: String,
    },
}

impl FetchError {
    /// Whether the same fetch may succeed later; see [`HttpError::is_retryable`].
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Http(error) if error.is_retryable())
    }

    /// Whether the caller's token was cancelled.
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Self::Http(HttpError::Cancelled { .. }))
    }

    /// The final reason of the URL, once no retry is left.
    pub fn to_reason(&self) -> Reason {
        match self {
            Self::Http(HttpError::BlockedAddress { address, .. }) => {
                Reason::BlockedAddress { address: address.to_string() }
            }
            Self::Http(HttpError::TooLarge { limit, .. }) => Reason::TooLarge { limit: *limit },
            Self::Media { media_type, .. } => Reason::NotHtml { media_type: media_type.clone() },
            other => Reason::Failed { cause: with_causes(other) },
        }
    }
}

/// The error and its causes on one line. A cause whose message is there already is omitted.
fn with_causes(error: &FetchError) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn reasons_name_what_happened_with_its_causes() {
        let url = || "http://a.test/".to_owned();
        let blocked = HttpError::BlockedAddress { url: url(), address: [127, 0, 0, 1].into() };
        let address = "127.0.0.1".to_owned();
        assert_eq!(FetchError::from(blocked).to_reason(), Reason::BlockedAddress { address });
        let large = HttpError::TooLarge { url: url(), limit: 7 };
        assert_eq!(FetchError::from(large).to_reason(), Reason::TooLarge { limit: 7 });
        let refused = HttpError::Connect { url: url(), source: io::Error::other("refused") };
        let refused = FetchError::from(refused);
        assert!(refused.is_retryable());
        let cause = "http://a.test/: cannot connect: refused".to_owned();
        assert_eq!(refused.to_reason(), Reason::Failed { cause });
    }

    #[test]
    fn a_redirect_names_its_cause_once() {
        let url = "http://a.test/".to_owned();
        let redirect = FetchError::Redirect { url, source: RedirectError::Missing };
        let cause = redirect.source().unwrap().to_string();
        assert_eq!(cause, "redirect without a location");
        assert_eq!(redirect.to_string(), "http://a.test/: cannot follow the redirect");
    }
}
