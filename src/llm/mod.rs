//! A client for language models: blocking calls that are bounded, cached, validated and counted.
//!
//! A [`Client`] speaks one [`Wire`] format to one endpoint through a [`Transport`]. One call of
//! [`Client::complete`] goes through these steps:
//!
//! 1. The prompt's size is checked, and the key of the request is computed.
//! 2. The memory tier of the response cache is looked up. Equal requests under way at the same time
//!    are made once (single flight); the first of them looks up the durable tier ([`DurableTier`]).
//! 3. The exchange: take a permit, send the request, decode the answer. A failure that may pass is
//!    retried after a wait, during which no permit is held. All attempts share one deadline.
//!    [`Client::complete_or_later`] does not wait: it returns the wait, and continues when it is
//!    called again.
//! 4. The reason why the model stopped is checked before the text is read: truncated, filtered and
//!    refused answers are errors, and are never repaired.
//! 5. With a schema, the text is parsed and validated. Fences, trailing text and unclosed brackets
//!    are repaired locally. An invalid value is sent back at most twice, with nothing but
//!    the schema, the value and the error.
//! 6. An accepted answer is stored under the key.
//!
//! Invariants:
//!
//! - No `Debug` output, log line or error holds an API key.
//! - The cache holds accepted answers only.
//! - A call outlives its deadline by one transport timeout at most. The deadline of a deferred call
//!   stands still while its caller is late.
//! - No wait polls.
//!
//! An answer as a Rust type:
//!
//! ```no_run
//! use std::sync::Arc;
//! use gristmill::cancel::CancelToken;
//! use gristmill::http::{self, AddressPolicy};
//! use gristmill::llm::{ChatRequest, Client, HttpTransport};
//!
//! #[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
//! struct Price {
//!     amount: f64,
//!     currency: String,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let http = http::Client::builder().address_policy(AddressPolicy::AllowPrivate).build()?;
//! let client = Client::builder()
//!     .endpoint("http://127.0.0.1:8080/v1")
//!     .model("small")
//!     .transport(Arc::new(HttpTransport::new(http)))
//!     .build()?;
//! let request = ChatRequest::new().system("What does it cost?").user("Two pence a crossing.");
//! let (price, completion) = client.complete_as::<Price>(&request, &CancelToken::new())?;
//! println!("{price:?} for {} tokens", completion.usage.output);
//! # Ok(())
//! # }
//! ```

mod answers;
mod builder;
mod cache;
mod call;
mod client;
mod conversation;
mod deadline;
mod error;
mod exchange;
mod flight;
mod http;
mod key;
mod openai;
mod repair;
mod request;
mod schema;
mod stats;
mod timer;
mod transport;
mod wire;

pub use crate::retry::RetryPolicy;
pub use builder::ClientBuilder;
pub use cache::DurableTier;
pub use call::Continuation;
pub use client::Client;
pub use error::{LlmError, ResponseInfo};
pub use http::HttpTransport;
pub use openai::OpenAiChat;
#[doc(hidden)]
pub use request::estimate_tokens;
pub use request::{CacheTier, ChatRequest, Completion, FinishReason, Message, Role, Usage};
pub use secrecy::SecretString;
pub use stats::{Latency, LlmStats};
#[doc(hidden)]
pub use timer::{Cancelled, ManualTimer, SystemTimer, Timer};
pub use transport::{HttpReply, HttpRequest, SecretHeader, Transport, TransportError};
pub use wire::{Answer, Dialect, ServerError, StructuredMode, TokenField, Wire};
