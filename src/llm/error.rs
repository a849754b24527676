//! Errors of the client.

use std::sync::Arc;
use std::time::Duration;

use super::request::Usage;
use super::transport::TransportError;
use crate::model::Headers;
use crate::retry::RetryPolicy;

/// What is known of a response that led to an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseInfo {
    /// The URL of the request, without credentials and query.
    pub endpoint: String,
    /// Status of the response.
    pub status: u16,
    /// Header fields of the response.
    pub headers: Headers,
    /// The server's identifier of the request.
    pub request_id: Option<String>,
    /// Requests sent, this one included.
    pub attempts: u32,
    /// Tokens spent by the call so far.
    pub usage: Usage,
}

/// Why a call failed. No variant holds the API key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// A setting of the client cannot be used.
    #[error("invalid setting of the LLM client: {what}: {reason}")]
    Config {
        /// Which setting.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The prompt exceeds the client's size limit.
    #[error("the prompt has {bytes} bytes, more than the limit of {limit}")]
    PromptTooLarge {
        /// Size of all messages, in bytes.
        bytes: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The JSON Schema of the request cannot be used.
    #[error("the JSON Schema of the answer cannot be used: {reason}")]
    Schema {
        /// Why.
        reason: String,
    },
    /// The token was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// The time limit of the call passed.
    #[error("no answer within {limit:?} ({attempts} attempts)")]
    Deadline {
        /// The time limit of the call.
        limit: Duration,
        /// Requests sent.
        attempts: u32,
        /// Why the last attempt failed.
        #[source]
        source: Option<Box<LlmError>>,
    },
    /// The call is deferred: it is to be continued after a wait. Only
    /// [`Client::complete_or_later`](super::Client::complete_or_later) returns this.
    #[error("the request can be made again in {wait:?} ({attempts} attempts so far)")]
    Later {
        /// How long to wait: as long as the server asked for, otherwise the policy's backoff.
        wait: Duration,
        /// Requests sent so far.
        attempts: u32,
        /// Why the last attempt failed.
        #[source]
        source: Box<LlmError>,
    },
    /// The server could not be reached, or the connection broke.
    #[error("{endpoint} did not answer ({attempts} attempts)")]
    Transport {
        /// The URL of the request, without credentials and query.
        endpoint: String,
        /// Requests sent.
        attempts: u32,
        /// What happened.
        #[source]
        source: TransportError,
    },
    /// The server answered with an error status.
    #[error("{} answered {} ({} attempts): {message}", response.endpoint, response.status, response.attempts)]
    Http {
        /// The server's error code.
        code: Option<String>,
        /// The server's message.
        message: String,
        /// The response.
        response: Box<ResponseInfo>,
    },
    /// The account's quota is exhausted.
    #[error("{} refused the request, the quota is exhausted: {message}", response.endpoint)]
    Quota {
        /// The server's message.
        message: String,
        /// The response.
        response: Box<ResponseInfo>,
    },
    /// The server asks for a longer wait than the policy accepts.
    #[error("the server asks for a wait of {wait:?}, more than the limit of {limit:?}")]
    RetryAfter {
        /// The wait that it asks for.
        wait: Duration,
        /// The longest wait that is accepted.
        limit: Duration,
        /// The failed attempt.
        #[source]
        source: Box<LlmError>,
    },
    /// The prompt exceeds the model's context length.
    #[error("the prompt is too long for the model: {message}")]
    ContextLength {
        /// The server's message.
        message: String,
        /// The response.
        response: Box<ResponseInfo>,
    },
    /// The response is not in the wire format.
    #[error("{} sent a malformed response: {reason}", response.endpoint)]
    Malformed {
        /// What is wrong with it.
        reason: String,
        /// The response.
        response: Box<ResponseInfo>,
    },
    /// The answer reached the token limit before it was complete.
    #[error("the answer stopped at the token limit")]
    Truncated {
        /// The response.
        response: Box<ResponseInfo>,
    },
    /// A content filter withheld the answer.
    #[error("the answer was withheld by a content filter")]
    Filtered {
        /// The response.
        response: Box<ResponseInfo>,
    },
    /// The model refused.
    #[error("the model refused: {text}")]
    Refused {
        /// What it said.
        text: String,
        /// The response.
        response: Box<ResponseInfo>,
    },
    /// The answer contains no text.
    #[error("the answer is empty")]
    Empty {
        /// The response.
        response: Box<ResponseInfo>,
    },
    /// The answer violates the schema, and its corrections did too.
    #[error("the answer violates the schema at '{path}': {reason}")]
    Invalid {
        /// Where, as a JSON Pointer.
        path: String,
        /// The violation.
        reason: String,
        /// The last response, with the usage of the whole call.
        response: Box<ResponseInfo>,
    },
    /// The equal call that this one waited for failed.
    #[error(transparent)]
    Shared(Arc<LlmError>),
}

impl LlmError {
    /// The kind of failure in one word, as in [`LlmStats::failures`](super::LlmStats::failures).
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Config { .. } => "config",
            Self::PromptTooLarge { .. } => "prompt_too_large",
            Self::Schema { .. } => "schema",
            Self::Cancelled => "cancelled",
            Self::Deadline { .. } => "deadline",
            Self::Later { .. } => "later",
            Self::Transport { .. } => "transport",
            Self::Http { .. } => "http",
            Self::Quota { .. } => "quota",
            Self::RetryAfter { .. } => "retry_after",
            Self::ContextLength { .. } => "context_length",
            Self::Malformed { .. } => "malformed",
            Self::Truncated { .. } => "truncated",
            Self::Filtered { .. } => "filtered",
            Self::Refused { .. } => "refused",
            Self::Empty { .. } => "empty",
            Self::Invalid { .. } => "invalid",
            Self::Shared(shared) => shared.kind(),
        }
    }

    /// The response that led to the error, if there was one.
    pub fn response(&self) -> Option<&ResponseInfo> {
        match self {
            Self::Http { response, .. }
            | Self::Quota { response, .. }
            | Self::ContextLength { response, .. }
            | Self::Malformed { response, .. }
            | Self::Truncated { response }
            | Self::Filtered { response }
            | Self::Refused { response, .. }
            | Self::Empty { response }
            | Self::Invalid { response, .. } => Some(response),
            Self::Deadline { source: Some(source), .. }
            | Self::Later { source, .. }
            | Self::RetryAfter { source, .. } => source.response(),
            Self::Shared(shared) => shared.response(),
            _ => None,
        }
    }

    /// Tokens spent without a result. Zero for [`LlmError::Shared`], as the other call accounts for
    /// them. For a deferred call, see [`Continuation::usage`](super::Continuation::usage).
    pub fn usage(&self) -> Usage {
        match self {
            Self::Shared(_) => Usage::default(),
            Self::Deadline { source: Some(source), .. }
            | Self::Later { source, .. }
            | Self::RetryAfter { source, .. } => source.usage(),
            other => other.response().map(|response| response.usage).unwrap_or_default(),
        }
    }

    /// Whether the model gave an answer that cannot be used. The same request would fail again.
    pub fn is_unusable_answer(&self) -> bool {
        match self {
            Self::Truncated { .. }
            | Self::Filtered { .. }
            | Self::Refused { .. }
            | Self::Empty { .. }
            | Self::Invalid { .. } => true,
            Self::Shared(shared) => shared.is_unusable_answer(),
            _ => false,
        }
    }

    /// Whether the same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Deadline { .. }
            | Self::Later { .. }
            | Self::RetryAfter { .. }
            | Self::Cancelled => true,
            Self::Transport { source, .. } => source.retryable,
            Self::Http { response, .. } => RetryPolicy::model().retries_status(response.status),
            Self::Shared(shared) => shared.is_transient(),
            _ => false,
        }
    }
}
