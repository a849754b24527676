//! Builds the parts from the configuration, and connects one part's traits to another.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Error;
use super::caches::{Caches, UPKEEP_EVERY};
use super::distil::{Distiller, Extractive, LlmDistiller, LlmDistillerOptions, PromptCache};
use super::tables::Tables;
use crate::cache::{Tier, TierError};
use crate::config::{Config, ConfigError, ExtractConfig};
use crate::extract::ExtractOptions;
use crate::fetch::{FetchOptions, Fetcher, MediaTypes};
use crate::http::{self, AddressPolicy, Resolve, Timeouts};
use crate::llm::{self, HttpTransport};
use crate::pool::{MemoryPressure, Periodic, Pool, Priority};
use crate::store::{Keyspace, PutOptions, Store, StoreError, Verification};
use crate::time::SharedClock;

/// Idle connections kept over all hosts, for each connection that may be in use.
const IDLE_PER_ACTIVE: usize = 2;
/// Largest answer of a model that is read.
const MAX_ANSWER_BYTES: u64 = 8 << 20;
/// Bytes of batches queued between the crawl and the disk. A longer queue is not written sooner.
const QUEUE_BYTES: usize = 8 << 20;
/// Most bytes that the store flushes at once.
const GROUP_BYTES: usize = 2 << 20;

/// The store of the directory, which reclaims space on `pool`.
pub(super) fn store(
    dir: &Path,
    config: &Config,
    clock: &SharedClock,
    pool: &Pool,
) -> Result<Store, StoreError> {
    let Config { store, .. } = config;
    let verification = if store.verify_reads { Verification::Always } else { Verification::First };
    Store::builder(dir)
        .cache_bytes(store.cache_bytes)
        .pointer_cache_bytes(store.pointer_cache_bytes)
        .segment_bytes(store.segment_bytes)
        .verification(verification)
        .queue_bytes(QUEUE_BYTES)
        .max_group_bytes(GROUP_BYTES)
        .pool(pool.clone())
        .clock(Arc::clone(clock))
        .open()
}

/// The client that crawls.
pub(super) fn crawl_client(
    config: &Config,
    clock: &SharedClock,
    resolver: &Arc<dyn Resolve>,
) -> Result<http::Client, Error> {
    let crawl = &config.crawl;
    let mut builder = http::Client::builder()
        .user_agent(&crawl.user_agent)
        .timeouts(Timeouts {
            connect: crawl.connect_timeout,
            first_byte: crawl.first_byte_timeout,
            body: crawl.total_timeout,
            total: crawl.total_timeout,
        })
        .max_body_bytes(crawl.max_body_bytes)
        .address_policy(if crawl.allow_private {
            AddressPolicy::AllowPrivate
        } else {
            AddressPolicy::Public
        })
        .connections_per_host(crawl.per_host)
        .max_idle_connections(crawl.concurrency.saturating_mul(IDLE_PER_ACTIVE))
        .proxy(crawl.proxy.clone())
        .resolver(Arc::clone(resolver))
        .dns_names(config.cache.dns_names)
        .dns_ttl(config.cache.dns_ttl)
        .dns_negative_ttl(config.cache.dns_negative_ttl)
        .clock(Arc::clone(clock));
    for (name, value) in &crawl.headers {
        builder = builder.header(name, value);
    }
    Ok(builder.build()?)
}

/// The fetcher for pages; it receives only documents that can be read.
pub(super) fn fetcher(client: http::Client, clock: &SharedClock) -> Fetcher {
    Fetcher::new(client, FetchOptions { clock: Arc::clone(clock), ..FetchOptions::default() })
}

/// The fetcher for robots.txt, sitemaps and feeds, which are served under all sorts of media types.
pub(super) fn listing_fetcher(client: http::Client, clock: &SharedClock) -> Fetcher {
    let clock = Arc::clone(clock);
    let options = FetchOptions { media: MediaTypes::any(), clock, ..FetchOptions::default() };
    Fetcher::new(client, options)
}

/// The options of extraction that a configuration asks for: those of its section `[extract]`, and
/// its limit on bodies.
pub fn extract_options(config: &Config) -> Result<ExtractOptions, Error> {
    let selectors = |key, written: &[String]| {
        let parsed: Result<Vec<_>, _> = written.iter().map(|text| text.parse()).collect();
        parsed.map_err(|source| Error::Selector { key, source })
    };
    let ExtractConfig { favour, comments, tables, images, links, keep, remove } = &config.extract;
    Ok(ExtractOptions {
        max_bytes: usize::try_from(config.crawl.max_body_bytes).unwrap_or(usize::MAX),
        favour: *favour,
        comments: *comments,
        tables: *tables,
        images: *images,
        links: *links,
        keep: selectors("extract.keep", keep)?,
        remove: selectors("extract.remove", remove)?,
        ..ExtractOptions::default()
    })
}

/// How many pages are distilled at once: calls to the model, or pages ranked on the cores.
pub(super) fn distil_workers(config: &Config) -> usize {
    if config.llm.url.is_some() { config.llm.concurrency } else { config.distil.concurrency }
}

/// A pool that starts with one worker and grows to `most`.
pub(super) fn pool(
    name: &str,
    most: usize,
    config: &Config,
    pressure: Option<&Arc<dyn MemoryPressure>>,
) -> Result<Pool, Error> {
    let builder = Pool::builder()
        .name(name)
        .min(1)
        .max(most)
        .idle_timeout(config.pool.idle_timeout)
        .stack_size(config.pool.stack_bytes);
    Ok(match pressure {
        Some(pressure) => builder.memory_pressure(Arc::clone(pressure)).build()?,
        None => builder.build()?,
    })
}

/// Sweeps the caches at intervals, at low priority, as long as the pool lives.
pub(super) fn upkeep(
    pool: &Pool,
    caches: &Arc<Caches>,
    pressure: Option<Arc<dyn MemoryPressure>>,
) -> Periodic {
    let caches = Arc::clone(caches);
    pool.task("upkeep of caches").priority(Priority::Low).after(UPKEEP_EVERY).every(
        UPKEEP_EVERY,
        move || {
            caches.upkeep(pressure.as_ref().is_some_and(|pressure| pressure.is_high()));
        },
    )
}

/// The model's client, if a model is configured.
pub(super) fn llm_client(
    config: &Config,
    clock: &SharedClock,
    resolver: &Arc<dyn Resolve>,
    tables: &Tables,
) -> Result<Option<llm::Client>, Error> {
    let (Some(url), Some(model)) = (&config.llm.url, &config.llm.model) else { return Ok(None) };
    let key = match &config.llm.api_key_env {
        None => None,
        Some(variable) => match std::env::var(variable) {
            Ok(key) if !key.is_empty() => Some(key.into()),
            _ => return Err(ConfigError::MissingKey { variable: variable.clone() }.into()),
        },
    };
    // The user named this server, so its address is not restricted.
    let client = http::Client::builder()
        .user_agent(&config.crawl.user_agent)
        .timeouts(Timeouts {
            connect: config.crawl.connect_timeout,
            first_byte: config.llm.timeout,
            body: config.llm.timeout,
            total: config.llm.timeout,
        })
        .max_body_bytes(MAX_ANSWER_BYTES)
        .address_policy(AddressPolicy::AllowPrivate)
        .connections_per_host(config.llm.concurrency)
        .max_idle_connections(config.llm.concurrency)
        .resolver(Arc::clone(resolver))
        .dns_names(config.cache.dns_names)
        .dns_ttl(config.cache.dns_ttl)
        .dns_negative_ttl(config.cache.dns_negative_ttl)
        .clock(Arc::clone(clock))
        .build()?;
    let client = llm::Client::builder()
        .endpoint(url)
        .model(model)
        .api_key(key)
        .transport(Arc::new(HttpTransport::new(client)))
        .max_in_flight(config.llm.concurrency)
        .max_output_tokens(config.llm.max_output_tokens)
        .max_prompt_bytes(config.llm.max_prompt_bytes)
        .memory_cache(usize::try_from(config.cache.llm_bytes).unwrap_or(usize::MAX))
        .cache_ttl(config.cache.llm_ttl)
        .timeout(config.llm.timeout)
        .cache(Arc::new(StoredAnswers::new(tables, config.cache.llm_ttl)))
        .clock(Arc::clone(clock))
        .build()?;
    Ok(Some(client))
}

/// The distiller that the configuration asks for.
pub(super) fn distiller(
    config: &Config,
    llm: Option<llm::Client>,
    templates: Option<PromptCache>,
) -> Arc<dyn Distiller> {
    let Some(client) = llm else { return Arc::new(Extractive::default()) };
    let options = LlmDistillerOptions {
        max_answer_tokens: Some(config.llm.max_output_tokens),
        ..LlmDistillerOptions::default()
    };
    Arc::new(LlmDistiller::with_prompt_cache(client, options, templates))
}

/// The durable tier of the model's answers.
struct StoredAnswers {
    rows: Keyspace,
    options: PutOptions,
}

impl StoredAnswers {
    /// Answers stored from now on expire after `ttl`; zero means never.
    fn new(tables: &Tables, ttl: Duration) -> Self {
        let options = if ttl.is_zero() { PutOptions::default() } else { PutOptions::ttl(ttl) };
        Self { rows: tables.answers.clone(), options }
    }
}

impl Tier<[u8; 32], Vec<u8>> for StoredAnswers {
    fn get(&self, key: &[u8; 32]) -> Result<Option<Vec<u8>>, TierError> {
        let value = self.rows.get(key).map_err(|source| failure("read", source))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn put(&self, key: &[u8; 32], value: &Vec<u8>) -> Result<(), TierError> {
        let put = self.rows.put_with(key, value, self.options);
        put.map_err(|source| failure("write", source))
    }
}

fn failure(operation: &'static str, source: StoreError) -> TierError {
    TierError { operation, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::KeyspaceOptions;
    use crate::time::{ManualClock, Timestamp};

    #[test]
    fn answers_go_from_the_store_when_their_time_is_up() {
        let dir = tempfile::tempdir().unwrap();
        let clock = ManualClock::new(Timestamp(1_000));
        let store = Store::builder(dir.path()).clock(clock.clone()).open().unwrap();
        let rows = store.keyspace("answers", KeyspaceOptions::default()).unwrap();
        let (second, answer) = (Duration::from_secs(1), b"{}".to_vec());
        let tables = Tables::open(store, &Config::default().store).unwrap();
        StoredAnswers::new(&tables, second).put(&[1; 32], &answer).unwrap();
        let for_ever = StoredAnswers::new(&tables, Duration::ZERO);
        for_ever.put(&[2; 32], &answer).unwrap();
        assert_eq!((for_ever.get(&[1; 32]).unwrap(), rows.len().unwrap()), (Some(answer), 2));
        clock.advance(second);
        assert_eq!((for_ever.get(&[1; 32]).unwrap(), rows.len().unwrap()), (None, 1));
        assert!(for_ever.get(&[2; 32]).unwrap().is_some());
    }
}
