//! The seam to HTTP: one POST, one reply.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::cancel::CancelToken;
use crate::model::Headers;

/// Carries a request to a server and brings its answer, whatever its status.
///
/// An implementation does not retry, does not follow redirects and reads at most
/// [`HttpRequest::max_body`] bytes.
pub trait Transport: Send + Sync {
    /// Posts the request; returns early when `cancel` is cancelled, where it can.
    fn post(
        &self,
        request: &HttpRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<HttpReply, TransportError>;
}

/// A request to a model server.
#[derive(Clone, Debug)]
pub struct HttpRequest<'a> {
    /// Where it goes.
    pub url: &'a Url,
    /// Header fields without secrets.
    pub headers: &'a Headers,
    /// Header fields that authenticate. Their `Debug` form hides the value.
    pub secret_headers: &'a [SecretHeader],
    /// The body, JSON.
    pub body: &'a [u8],
    /// Most time for the whole exchange.
    pub timeout: Duration,
    /// Most bytes of the answer's body; more is an error.
    pub max_body: usize,
}

/// A header field whose value is a secret.
#[derive(Clone, Debug)]
pub struct SecretHeader {
    /// Field name in lower case.
    pub name: String,
    /// Field value.
    pub value: SecretString,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct HttpReply {
    /// Status.
    pub status: u16,
    /// Header fields.
    pub headers: Headers,
    /// Body after content decoding.
    pub body: Vec<u8>,
}

/// An exchange that brought no answer.
#[derive(Debug)]
pub struct TransportError {
    message: String,
    /// Another attempt may succeed: the connection could not be made, or broke before the first
    /// byte of the answer.
    pub retryable: bool,
    /// The request may have reached the server.
    pub sent: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// A failure that no retry heals, before anything was sent.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), retryable: false, sent: false, source: None }
    }

    /// Marks it as worth another attempt.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Says whether the request may have reached the server.
    #[must_use]
    pub fn sent(mut self, sent: bool) -> Self {
        self.sent = sent;
        self
    }

    /// Sets the cause.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for TransportError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}
