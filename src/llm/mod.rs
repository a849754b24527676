//! Asking language models: blocking calls that are bounded, cached, validated and accounted for.
//!
//! A [`Client`] speaks one [`Wire`] format to one endpoint through a [`Transport`]. One call of
//! [`Client::complete`] goes through these steps:
//!
//! 1. The prompt is held against its size limit; the key of the request is computed.
//! 2. The memory tier of the response cache is asked. Equal requests that are under way are joined
//!    (single flight); the first of them asks the durable tier ([`DurableTier`]).
//! 3. The exchange: a permit is taken, the request sent, the answer decoded. What is worth a retry
//!    is retried after a pause during which no permit is held. All attempts share one deadline.
//!    [`Client::complete_or_later`] does not pause: it gives the wait back, and goes on when it is
//!    called again.
//! 4. How the answer ended is looked at before its text is: truncated, filtered and refused
//!    answers are errors, never material for repair.
//! 5. With a schema, the text is parsed (repaired locally where fences, trailing text or unclosed
//!    brackets stand in the way) and validated. What is invalid is sent back at most
//!    [`MAX_REASKS`] times with nothing but the schema, the value and the error.
//! 6. Good answers are stored under the key; all others never are.
//!
//! Invariants: an API key is in no `Debug` output, log line or error; an answer that was not
//! accepted is never in the cache; a call never outlives its deadline by more than one transport
//! timeout (the deadline of a call that is put off stands still while the caller is late); no wait
//! polls.
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

mod ask;
mod builder;
mod cache;
mod call;
mod client;
mod deadline;
mod error;
mod exchange;
mod flight;
mod http;
mod key;
mod openai;
mod pause;
mod repair;
mod request;
mod schema;
mod stats;
mod tiers;
mod transport;
mod wire;

pub use crate::retry::RetryPolicy;
pub use builder::Builder;
pub use cache::DurableTier;
pub use call::Continuation;
pub use client::{Client, MAX_REASKS};
pub use error::{LlmError, Served};
pub use http::HttpTransport;
pub use openai::OpenAiChat;
pub use pause::{Cancelled, CondvarPause, ManualPause, Pause};
pub use request::{
    CacheTier, ChatRequest, Completion, FinishReason, Message, Role, Usage, estimate_tokens,
};
pub use secrecy::SecretString;
pub use stats::{Latency, LlmStats};
pub use transport::{HttpReply, HttpRequest, SecretHeader, Transport, TransportError};
pub use wire::{Answer, Dialect, ServerError, StructuredMode, TokenField, Wire};
