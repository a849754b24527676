//! What threads share and hand on may be shared and handed on; errors fit into any other error.
//! Broken, this does not compile.

use std::error::Error;

use gristmill::cache::{Cache, CacheBuilder, CacheError, LoadError, TierError};
use gristmill::cancel::CancelToken;
use gristmill::pool::{
    Pool, PoolBuilder, PoolError, Semaphore, SemaphoreError, Task, TaskBuilder, TaskError,
};

const fn shared<T: Send + Sync>() {}
const fn moved<T: Send>() {}
const fn error<T: Error + Send + Sync + 'static>() {}

#[test]
fn pool_and_cache() {
    shared::<CancelToken>();
    shared::<Cache<String, String>>();
    moved::<CacheBuilder<String, String>>();
    error::<CacheError>();
    error::<LoadError<std::io::Error>>();
    error::<TierError>();
    shared::<Pool>();
    shared::<Semaphore>();
    shared::<Task<String>>();
    moved::<PoolBuilder>();
    moved::<TaskBuilder<'_>>();
    error::<PoolError>();
    error::<SemaphoreError>();
    error::<TaskError>();
}

#[cfg(feature = "store")]
#[test]
fn store() {
    use gristmill::store::{
        Batch, Keyspace, Rows, Snapshot, Store, StoreBuilder, StoreError, Ticket, Value,
    };
    shared::<Store>();
    shared::<Keyspace>();
    shared::<Snapshot>();
    shared::<Value>();
    moved::<Batch>();
    moved::<Rows>();
    moved::<StoreBuilder>();
    moved::<Ticket>();
    error::<StoreError>();
}

#[cfg(feature = "crawl")]
#[test]
fn crawl() {
    use gristmill::crawl::{DocumentError, Robots, ScopeError};
    use gristmill::extract::{ExtractError, Extractor, Selector, SelectorError};
    use gristmill::fetch::{FetchError, Fetcher, RedirectError};
    use gristmill::http::{Client, HttpError};
    use gristmill::url::UrlError;
    shared::<Client>();
    shared::<Extractor>();
    shared::<Fetcher>();
    shared::<Robots>();
    shared::<Selector>();
    error::<DocumentError>();
    error::<ExtractError>();
    error::<FetchError>();
    error::<HttpError>();
    error::<RedirectError>();
    error::<ScopeError>();
    error::<SelectorError>();
    error::<UrlError>();
}

#[cfg(feature = "llm")]
#[test]
fn llm() {
    use gristmill::llm::{Cancelled, Client, LlmError, OpenAiChat, TransportError};
    shared::<Client>();
    shared::<OpenAiChat>();
    error::<Cancelled>();
    error::<LlmError>();
    error::<TransportError>();
}

#[cfg(feature = "engine")]
#[test]
fn engine() {
    use gristmill::engine::distil::{DistilError, Extractive, LlmDistiller};
    use gristmill::{Config, ConfigError, Engine, EngineBuilder, Job, Progress, Report, Run};
    shared::<Config>();
    shared::<Engine>();
    shared::<Extractive>();
    shared::<Job>();
    shared::<LlmDistiller>();
    shared::<Progress>();
    shared::<Report>();
    shared::<Run>();
    moved::<EngineBuilder>();
    error::<ConfigError>();
    error::<DistilError>();
    error::<gristmill::Error>();
}
