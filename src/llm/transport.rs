//! The seam to HTTP: one POST, one response.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::cancel::CancelToken;
use crate::model::Headers;

/// Sends a request to a server and returns the response, whatever its status.
///
/// An implementation does not retry, does not follow redirects and reads at most
/// [`HttpRequest::max_body`] bytes.
pub trait Transport: Send + Sync {
    /// Posts the request. Should return early when `cancel` is cancelled.
    fn post(
        &self,
        request: &HttpRequest<'_>,
        cancel: &CancelToken,
    ) -> Result<HttpReply, TransportError>;
}

/// A request to a model server.
#[derive(Clone, Debug)]
pub struct HttpRequest<'a> {
    /// The URL that it is posted to.
    pub url: &'a Url,
    /// Header fields without secrets.
    pub headers: &'a Headers,
    /// Header fields for authentication. Their `Debug` output hides the value.
    pub secret_headers: &'a [SecretHeader],
    /// The body, JSON.
    pub body: &'a [u8],
    /// Time limit of the whole exchange.
    pub timeout: Duration,
    /// Size limit of the response's body, in bytes; more is an error.
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

/// A response.
#[derive(Clone, Debug)]
pub struct HttpReply {
    /// Status.
    pub status: u16,
    /// Header fields.
    pub headers: Headers,
    /// Body, after content decoding.
    pub body: Vec<u8>,
}

/// An exchange without a response.
#[derive(Debug)]
pub struct TransportError {
    message: String,
    /// Whether another attempt may succeed, and costs nothing: the connection failed, or broke
    /// before the first byte of the response.
    pub retryable: bool,
    /// Whether the request may have reached the server.
    pub sent: bool,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl TransportError {
    /// A permanent failure before anything was sent.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), retryable: false, sent: false, source: None }
    }

    /// Sets whether another attempt may succeed.
    #[must_use]
    pub fn retryable(mut self, retryable: bool) -> Self {
        self.retryable = retryable;
        self
    }

    /// Sets whether the request may have reached the server.
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
