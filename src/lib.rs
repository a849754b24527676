//! An embedded engine that crawls politely, stores what it reads and distils it into cited facts.
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod cache;
pub mod cancel;
#[cfg(feature = "engine")]
pub mod config;
#[cfg(feature = "crawl")]
pub mod fetch;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "crawl")]
pub mod extract;
#[cfg(feature = "llm")]
pub mod llm;
#[cfg(feature = "crawl")]
pub mod crawl;
#[cfg(feature = "http")]
pub mod model;
pub mod time;
#[cfg(feature = "http")]
pub mod url;

#[cfg(feature = "engine")]
pub use config::{Config, ConfigError};
