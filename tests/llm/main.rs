//! The LLM client and the distillers against scripted servers.
#![cfg(feature = "engine")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adversary;
mod answers;
mod caching;
mod dialects;
mod extractive;
mod grounded;
mod retries;
mod script;
mod secrets;
