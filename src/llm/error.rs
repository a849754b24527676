//! What can go wrong when a model is asked.

use std::sync::Arc;
use std::time::Duration;

use super::request::Usage;
use super::transport::TransportError;
use crate::model::Headers;
use crate::retry::RetryPolicy;

/// What is known of an answer that led to an error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// The URL that was asked, without credentials and query.
    pub endpoint: String,
    /// Status of the answer.
    pub status: u16,
    /// Header fields of the answer.
    pub headers: Headers,
    /// The server's id of the request.
    pub request_id: Option<String>,
    /// Requests sent, this one included.
    pub attempts: u32,
    /// Tokens spent without a result.
    pub usage: Usage,
}

/// What can go wrong when a model is asked. No variant holds the API key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// The client cannot be built so.
    #[error("the LLM client's {what} cannot be used: {reason}")]
    Config {
        /// Which setting.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The prompt is larger than the client sends.
    #[error("the prompt has {bytes} bytes, the limit is {limit}")]
    PromptTooLarge {
        /// Bytes of all messages.
        bytes: usize,
        /// The limit.
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
    /// The time for all attempts ran out.
    #[error("no answer within {limit:?} and {attempts} attempts")]
    Deadline {
        /// The time there was.
        limit: Duration,
        /// Requests sent.
        attempts: u32,
        /// What the last attempt ran into.
        #[source]
        source: Option<Box<LlmError>>,
    },
    /// The call is put off: the same call is to be made again after a wait. Only calls that do not
    /// pause themselves end so; see
    /// [`Client::complete_or_later`](super::Client::complete_or_later).
    #[error("the model is to be asked again in {wait:?} ({attempts} attempts so far)")]
    Later {
        /// How long to wait: what the server asked for, else the backoff of the policy.
        wait: Duration,
        /// Requests sent so far.
        attempts: u32,
        /// What the last attempt ran into.
        #[source]
        source: Box<LlmError>,
    },
    /// The server could not be reached, or the connection broke.
    #[error("{endpoint} did not answer ({attempts} attempts)")]
    Transport {
        /// The URL that was asked, without credentials and query.
        endpoint: String,
        /// Requests sent.
        attempts: u32,
        /// What happened.
        #[source]
        source: TransportError,
    },
    /// The server answered with an error.
    #[error("{} answered {} ({} attempts): {message}", served.endpoint, served.status, served.attempts)]
    Http {
        /// The server's own code.
        code: Option<String>,
        /// The server's own words.
        message: String,
        /// The answer.
        served: Box<Served>,
    },
    /// The account has nothing left to spend.
    #[error("{} refuses, the quota is used up: {message}", served.endpoint)]
    Quota {
        /// The server's own words.
        message: String,
        /// The answer.
        served: Box<Served>,
    },
    /// The server asks to wait longer than the policy allows.
    #[error("the server asks to wait {wait:?}, the limit is {limit:?}")]
    RetryAfter {
        /// How long it asks to wait.
        wait: Duration,
        /// The longest wait.
        limit: Duration,
        /// The answer that asked for it.
        #[source]
        source: Box<LlmError>,
    },
    /// The prompt has more tokens than the model takes.
    #[error("the prompt is too long for the model: {message}")]
    ContextLength {
        /// The server's own words.
        message: String,
        /// The answer.
        served: Box<Served>,
    },
    /// The answer is not what the wire format says.
    #[error("{} gave an answer that cannot be read: {reason}", served.endpoint)]
    Malformed {
        /// What is wrong with it.
        reason: String,
        /// The answer.
        served: Box<Served>,
    },
    /// The answer reached the most tokens before it was complete.
    #[error("the answer was cut at the most tokens")]
    Truncated {
        /// The answer.
        served: Box<Served>,
    },
    /// A filter withheld the answer.
    #[error("the answer was withheld by a content filter")]
    Filtered {
        /// The answer.
        served: Box<Served>,
    },
    /// The model refused.
    #[error("the model refused: {text}")]
    Refused {
        /// Its words.
        text: String,
        /// The answer.
        served: Box<Served>,
    },
    /// The answer has no text.
    #[error("the answer is empty")]
    Empty {
        /// The answer.
        served: Box<Served>,
    },
    /// The answer does not satisfy the schema, and asking again did not help.
    #[error("the answer does not satisfy the schema at '{path}': {reason}")]
    Invalid {
        /// JSON Pointer to the place.
        path: String,
        /// What is wrong there.
        reason: String,
        /// The last answer; its usage is that of all requests of this call.
        served: Box<Served>,
    },
    /// The equal request that this one waited for failed.
    #[error(transparent)]
    Shared(Arc<LlmError>),
}

impl LlmError {
    /// One word for the kind of failure, as statistics use it.
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

    /// The answer that led to the error, where there was one.
    pub fn served(&self) -> Option<&Served> {
        match self {
            Self::Http { served, .. }
            | Self::Quota { served, .. }
            | Self::ContextLength { served, .. }
            | Self::Malformed { served, .. }
            | Self::Truncated { served }
            | Self::Filtered { served }
            | Self::Refused { served, .. }
            | Self::Empty { served }
            | Self::Invalid { served, .. } => Some(served),
            Self::Deadline { source: Some(source), .. }
            | Self::Later { source, .. }
            | Self::RetryAfter { source, .. } => source.served(),
            Self::Shared(shared) => shared.served(),
            _ => None,
        }
    }

    /// Tokens that were spent without a result. Zero for [`LlmError::Shared`]: the call that was
    /// waited for accounts for them. What a call that was put off has spent is told by its
    /// [`Continuation`](super::Continuation).
    pub fn usage(&self) -> Usage {
        match self {
            Self::Shared(_) => Usage::default(),
            Self::Deadline { source: Some(source), .. }
            | Self::Later { source, .. }
            | Self::RetryAfter { source, .. } => source.usage(),
            other => other.served().map(|served| served.usage).unwrap_or_default(),
        }
    }

    /// The model answered, but its answer cannot be used; asking the same again will not help.
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

    /// The same call may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Deadline { .. }
            | Self::Later { .. }
            | Self::RetryAfter { .. }
            | Self::Cancelled => true,
            Self::Transport { source, .. } => source.retryable,
            Self::Http { served, .. } => RetryPolicy::model().retries_status(served.status),
            Self::Shared(shared) => shared.is_transient(),
            _ => false,
        }
    }
}
