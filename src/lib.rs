//! An embedded engine that crawls politely, stores what it reads and distils it into cited facts.

pub mod cache;
pub mod cancel;
#[cfg(feature = "engine")]
pub mod config;
#[cfg(feature = "crawl")]
pub mod crawl;
#[cfg(feature = "engine")]
pub mod engine;
#[cfg(feature = "crawl")]
pub mod extract;
#[cfg(feature = "crawl")]
pub mod fetch;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "llm")]
pub mod llm;
#[cfg(feature = "http")]
pub mod model;
pub mod pool;
pub mod store;
pub mod time;
#[cfg(feature = "http")]
pub mod url;

#[cfg(feature = "engine")]
pub use config::{Config, ConfigError};
#[cfg(feature = "engine")]
pub use engine::{Engine, EngineBuilder, Error, Progress, Report, Run};
#[cfg(feature = "http")]
pub use model::{Budget, Focus, Info, Job, Scope, Source};
