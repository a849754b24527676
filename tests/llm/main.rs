//! The LLM client and the distillers against scripted servers.
#![cfg(feature = "engine")]
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in what it shares too"
)]

mod adversary;
mod answers;
mod caching;
mod dialects;
mod extractive;
mod grounded;
mod putting_off;
mod retries;
mod script;
mod secrets;
