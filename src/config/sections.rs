//! The sections of the configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConfigError, check, duration};

/// Fetching and politeness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct CrawlConfig {
    /// Most concurrent exchanges, over all hosts. Default 64.
    pub concurrency: usize,
    /// Most concurrent exchanges with one host. Default 1.
    pub per_host: usize,
    /// Shortest gap between the end of an exchange with a host and the start of the next.
    /// Default 1 s.
    #[serde(with = "duration")]
    pub delay: Duration,
    /// The largest `Crawl-delay` of a robots.txt that is honoured. Default 60 s.
    #[serde(with = "duration")]
    pub max_crawl_delay: Duration,
    /// Requests for one URL before it counts as failed. Default 4.
    pub max_attempts: u32,
    /// The `User-Agent` header; its first word is the product token that is matched against
    /// robots.txt.
    pub user_agent: String,
    /// Allow private, loopback and link-local addresses. Default false.
    pub allow_private: bool,
    /// Obey robots.txt. Default true.
    pub respect_robots: bool,
    /// Read the sitemaps that robots.txt names. Default true.
    pub sitemaps: bool,
    /// Extract text and Markdown. Otherwise pages are only stored and their links read, and there
    /// is nothing to distil. Default true.
    pub extract: bool,
    /// Proxy for all requests (`http://host:port`). Default none; the environment is not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Additional request headers.
    pub headers: BTreeMap<String, String>,
    /// Largest body that is read, in bytes after decoding. Default 16 MiB.
    pub max_body_bytes: u64,
    /// Timeout for establishing a connection. Default 10 s.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Timeout from the request to the first byte of the response. Default 30 s.
    #[serde(with = "duration")]
    pub first_byte_timeout: Duration,
    /// Timeout for a whole exchange. Default 60 s.
    #[serde(with = "duration")]
    pub total_timeout: Duration,
    /// Most URLs queued in memory; the rest are queued in the store. Default 100,000.
    pub queue_capacity: usize,
    /// Most known URLs in memory; beyond that the store is read. Default 1,000,000.
    pub seen_capacity: usize,
}

impl Default for CrawlConfig {
    fn default() -> Self {
        Self {
            concurrency: 64,
            per_host: 1,
            delay: Duration::from_secs(1),
            max_crawl_delay: Duration::from_mins(1),
            max_attempts: 4,
            user_agent: concat!("gristmill/", env!("CARGO_PKG_VERSION")).to_owned(),
            allow_private: false,
            respect_robots: true,
            sitemaps: true,
            extract: true,
            proxy: None,
            headers: BTreeMap::new(),
            max_body_bytes: 16 << 20,
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(30),
            total_timeout: Duration::from_mins(1),
            queue_capacity: 100_000,
            seen_capacity: 1_000_000,
        }
    }
}

impl CrawlConfig {
    /// The product token: the name of this crawler in robots.txt.
    pub fn product_token(&self) -> &str {
        self.user_agent.split(['/', ' ']).next().unwrap_or_default()
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let in_range = |value: usize, most| (1..=most).contains(&value);
        check(
            in_range(self.concurrency, 4096),
            "crawl.concurrency",
            &self.concurrency,
            "1 to 4096",
        )?;
        check(in_range(self.per_host, 256), "crawl.per_host", &self.per_host, "1 to 256")?;
        check(
            (1..=100).contains(&self.max_attempts),
            "crawl.max_attempts",
            &self.max_attempts,
            "1 to 100",
        )?;
        let token = self.product_token();
        check(
            !token.is_empty()
                && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'),
            "crawl.user_agent",
            &self.user_agent,
            "a product token of letters, digits, - and _, then anything",
        )?;
        check(
            (1 << 10..=1 << 30).contains(&self.max_body_bytes),
            "crawl.max_body_bytes",
            &self.max_body_bytes,
            "1024 to 1073741824",
        )?;
        for (key, value) in [
            ("crawl.connect_timeout", self.connect_timeout),
            ("crawl.first_byte_timeout", self.first_byte_timeout),
            ("crawl.total_timeout", self.total_timeout),
        ] {
            check(!value.is_zero(), key, &format!("{value:?}"), "longer than zero")?;
        }
        check(
            in_range(self.queue_capacity, 100_000_000),
            "crawl.queue_capacity",
            &self.queue_capacity,
            "1 to 100000000",
        )?;
        check(
            in_range(self.seen_capacity, 100_000_000),
            "crawl.seen_capacity",
            &self.seen_capacity,
            "1 to 100000000",
        )
    }
}

/// The model. Without a URL, the extractive distiller is used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LlmConfig {
    /// Base URL of an OpenAI-compatible server, such as `http://127.0.0.1:8080/v1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Name of the model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Environment variable that holds the API key. Without it no key is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_env: Option<String>,
    /// Most concurrent calls. Default 4.
    pub concurrency: usize,
    /// Longest prompt in bytes. Default 12,000.
    pub max_prompt_bytes: usize,
    /// Most tokens of an answer. Default 1,000.
    pub max_output_tokens: u32,
    /// Timeout for one call, including its retries and waits. Default 120 s.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for LlmConfig {
    fn default() -> Self {
        Self {
            url: None,
            model: None,
            api_key_env: None,
            concurrency: 4,
            max_prompt_bytes: 12_000,
            max_output_tokens: 1000,
            timeout: Duration::from_mins(2),
        }
    }
}

impl LlmConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check(
            (1..=1024).contains(&self.concurrency),
            "llm.concurrency",
            &self.concurrency,
            "1 to 1024",
        )?;
        check(
            (2000..=10_000_000).contains(&self.max_prompt_bytes),
            "llm.max_prompt_bytes",
            &self.max_prompt_bytes,
            "2000 to 10000000",
        )?;
        check(
            (16..=1_000_000).contains(&self.max_output_tokens),
            "llm.max_output_tokens",
            &self.max_output_tokens,
            "16 to 1000000",
        )?;
        check(
            !self.timeout.is_zero(),
            "llm.timeout",
            &format!("{:?}", self.timeout),
            "longer than zero",
        )?;
        check(
            self.url.is_none() || self.model.is_some(),
            "llm.model",
            &"(missing)",
            "the name of a model, since llm.url is set",
        )
    }
}

/// Distilling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DistilConfig {
    /// Pages waiting to be distilled at which the crawl pauses. Default 100,000.
    pub max_pending: usize,
    /// Pages distilled at once when no model is used. Default 2.
    pub concurrency: usize,
    /// Failed attempts to distil a page before it is given up. Default 3.
    pub max_attempts: u32,
}

impl Default for DistilConfig {
    fn default() -> Self {
        Self { max_pending: 100_000, concurrency: 2, max_attempts: 3 }
    }
}

impl DistilConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check(self.max_pending >= 1, "distil.max_pending", &self.max_pending, "at least 1")?;
        check(
            (1..=256).contains(&self.concurrency),
            "distil.concurrency",
            &self.concurrency,
            "1 to 256",
        )?;
        check(
            (1..=100).contains(&self.max_attempts),
            "distil.max_attempts",
            &self.max_attempts,
            "1 to 100",
        )
    }
}

/// The store.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// Memory for pages of the index. Default 16 MiB.
    pub cache_bytes: usize,
    /// Memory for the positions of recently read values, so that reading them again needs no index
    /// look-up; 0 for none. Default 4 MiB, some 20,000 values.
    pub pointer_cache_bytes: usize,
    /// Size of a segment file. Default 64 MiB.
    pub segment_bytes: u64,
    /// zstd level for raw pages; 0 stores them uncompressed. Default 0.
    pub raw_zstd_level: i32,
    /// Store equal bodies, texts and Markdown of several pages only once. Costs a hash and a
    /// look-up for each value. Default false.
    pub dedup: bool,
    /// Verify the checksum of a value on every read, not only on the first. Default false.
    pub verify_reads: bool,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            cache_bytes: 16 << 20,
            pointer_cache_bytes: 4 << 20,
            segment_bytes: 64 << 20,
            raw_zstd_level: 0,
            dedup: false,
            verify_reads: false,
        }
    }
}

impl StoreConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check(
            (1 << 20..=1 << 36).contains(&self.cache_bytes),
            "store.cache_bytes",
            &self.cache_bytes,
            "1048576 to 68719476736",
        )?;
        check(
            self.pointer_cache_bytes == 0
                || (1 << 16..=1 << 36).contains(&self.pointer_cache_bytes),
            "store.pointer_cache_bytes",
            &self.pointer_cache_bytes,
            "0, or 65536 to 68719476736",
        )?;
        check(
            (1 << 20..=1 << 32).contains(&self.segment_bytes),
            "store.segment_bytes",
            &self.segment_bytes,
            "1048576 to 4294967296",
        )?;
        check(
            (0..=19).contains(&self.raw_zstd_level),
            "store.raw_zstd_level",
            &self.raw_zstd_level,
            "0 to 19",
        )
    }
}

/// Thread pools.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PoolConfig {
    /// Address space of a worker's stack in bytes. Default 2 MiB.
    pub stack_bytes: usize,
    /// How long an idle surplus worker waits before it ends. Default 10 s.
    #[serde(with = "duration")]
    pub idle_timeout: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { stack_bytes: 2 << 20, idle_timeout: Duration::from_secs(10) }
    }
}

impl PoolConfig {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        check(
            (1 << 20..=1 << 28).contains(&self.stack_bytes),
            "pool.stack_bytes",
            &self.stack_bytes,
            "1048576 to 268435456",
        )
    }
}
