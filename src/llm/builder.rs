//! The client's settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::cache::DurableTier;
use super::client::{Client, Settings};
use super::error::LlmError;
use super::openai::OpenAiChat;
use super::timer::{SystemTimer, Timer};
use super::transport::Transport;
use super::wire::Wire;
use crate::retry::RetryPolicy;
use crate::time::{SharedClock, SystemClock};

/// Settings of a [`Client`].
pub struct ClientBuilder {
    endpoint: String,
    model: String,
    api_key: Option<SecretString>,
    transport: Option<Arc<dyn Transport>>,
    wire: Arc<dyn Wire>,
    max_in_flight: usize,
    max_output_tokens: u32,
    max_prompt_bytes: usize,
    max_answer_bytes: usize,
    retry: RetryPolicy,
    timeout: Option<Duration>,
    attempt_timeout: Duration,
    memory_cache: usize,
    cache_ttl: Duration,
    cache: Option<Arc<DurableTier>>,
    clock: Option<SharedClock>,
    timer: Arc<dyn Timer>,
    seed: Option<u64>,
    namespace: String,
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            model: String::new(),
            api_key: None,
            transport: None,
            wire: Arc::new(OpenAiChat),
            max_in_flight: 8,
            max_output_tokens: 1024,
            max_prompt_bytes: 256 * 1024,
            max_answer_bytes: 4 * 1024 * 1024,
            retry: RetryPolicy::model(),
            timeout: None,
            attempt_timeout: Duration::from_mins(2),
            memory_cache: 16 * 1024 * 1024,
            cache_ttl: Duration::ZERO,
            cache: None,
            clock: None,
            timer: Arc::new(SystemTimer),
            seed: None,
            namespace: String::new(),
        }
    }
}

impl ClientBuilder {
    /// Base URL of the server, for instance `http://127.0.0.1:8080/v1`. Required.
    #[must_use]
    pub fn endpoint(mut self, base_url: impl Into<String>) -> Self {
        self.endpoint = base_url.into();
        self
    }

    /// The model that is asked for. Required.
    #[must_use]
    pub fn model(mut self, name: impl Into<String>) -> Self {
        self.model = name.into();
        self
    }

    /// The API key. Default: none.
    #[must_use]
    pub fn api_key(mut self, key: Option<SecretString>) -> Self {
        self.api_key = key;
        self
    }

    /// Carries the requests. Required.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transport = Some(transport);
        self
    }

    /// The wire format. Default: [`OpenAiChat`].
    #[must_use]
    pub fn wire(mut self, wire: Arc<dyn Wire>) -> Self {
        self.wire = wire;
        self
    }

    /// Maximum number of requests in flight. A call that waits for a retry does not count. Default 8.
    #[must_use]
    pub fn max_in_flight(mut self, most: usize) -> Self {
        self.max_in_flight = most;
        self
    }

    /// Token limit of an answer, for requests without one of their own. Default 1024.
    #[must_use]
    pub fn max_output_tokens(mut self, most: u32) -> Self {
        self.max_output_tokens = most;
        self
    }

    /// Size limit of a request's messages together, in bytes. Default 256 KiB.
    #[must_use]
    pub fn max_prompt_bytes(mut self, most: usize) -> Self {
        self.max_prompt_bytes = most;
        self
    }

    /// Size limit of an answer's body, in bytes. Default 4 MiB.
    #[must_use]
    pub fn max_answer_bytes(mut self, most: usize) -> Self {
        self.max_answer_bytes = most;
        self
    }

    /// When, and how often, a failed request is made again. Default: [`RetryPolicy::model`].
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Time limit of a call: all attempts, corrections and waits together. For a deferred call, see
    /// [`Client::complete_or_later`]. Default: [`RetryPolicy::total`] of the policy, 3 minutes.
    #[must_use]
    pub fn timeout(mut self, total: Duration) -> Self {
        self.timeout = Some(total);
        self
    }

    /// Time limit of one request. Default 2 minutes.
    #[must_use]
    pub fn attempt_timeout(mut self, most: Duration) -> Self {
        self.attempt_timeout = most;
        self
    }

    /// Size of the response cache's memory tier, in bytes; 0 turns it off. An answer larger than an
    /// eighth of it goes to the durable tier alone. Default 16 MiB.
    #[must_use]
    pub fn memory_cache(mut self, bytes: usize) -> Self {
        self.memory_cache = bytes;
        self
    }

    /// How long an answer is used, from either tier, counted from when the model gave it; zero: with
    /// no limit. Older stores hold answers without a time, which are used only where this is zero.
    /// Default: zero.
    #[must_use]
    pub fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.cache_ttl = ttl;
        self
    }

    /// The durable tier of the response cache. Default: none.
    #[must_use]
    pub fn cache(mut self, cache: Arc<DurableTier>) -> Self {
        self.cache = Some(cache);
        self
    }

    /// The clock. Default: the system's.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// How [`Client::complete`] waits between attempts, for tests. Default: [`SystemTimer`].
    #[doc(hidden)]
    #[must_use]
    pub fn timer(mut self, timer: Arc<dyn Timer>) -> Self {
        self.timer = timer;
        self
    }

    /// Seed of the jitter. Default: random.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Keeps the cached answers of different uses apart. Default: empty.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Builds the client; fails with [`LlmError::Config`] if a setting cannot be used.
    pub fn build(self) -> Result<Client, LlmError> {
        let wrong = |what, reason: &str| LlmError::Config { what, reason: reason.to_owned() };
        let base: Url = self
            .endpoint
            .parse()
            .map_err(|error: url::ParseError| wrong("endpoint", &error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
            return Err(wrong("endpoint", "it must be an http or https URL"));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(wrong("endpoint", "it must not hold credentials; set the API key instead"));
        }
        if self.model.is_empty() {
            return Err(wrong("model", "its name is empty"));
        }
        let key = self.api_key.as_ref().map_or("", ExposeSecret::expose_secret);
        if key.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
            return Err(wrong("API key", "it holds characters that a header field cannot"));
        }
        let total = self.timeout.unwrap_or(self.retry.total);
        let retry = RetryPolicy { total, ..self.retry };
        let transport = self.transport.ok_or_else(|| wrong("transport", "it is not set"))?;
        for (what, zero) in [
            ("max_in_flight", self.max_in_flight == 0),
            ("max_output_tokens", self.max_output_tokens == 0),
            ("max_attempts", retry.max_attempts == 0),
            ("timeout", retry.total.is_zero() || self.attempt_timeout.is_zero()),
        ] {
            if zero {
                return Err(wrong(what, "it must not be zero"));
            }
        }
        let seed = self.seed.unwrap_or_else(|| fastrand::u64(..));
        Ok(Client::new(Settings {
            url: self.wire.url(&base),
            model: self.model,
            api_key: self.api_key,
            transport,
            wire: self.wire,
            max_in_flight: self.max_in_flight,
            max_output_tokens: self.max_output_tokens,
            max_prompt_bytes: self.max_prompt_bytes,
            max_answer_bytes: self.max_answer_bytes,
            retry,
            attempt_timeout: self.attempt_timeout,
            memory_cache: self.memory_cache,
            cache_ttl: self.cache_ttl,
            cache: self.cache,
            clock: self.clock.unwrap_or_else(SystemClock::shared),
            timer: self.timer,
            seed,
            namespace: self.namespace,
        }))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").field("model", &self.model).finish_non_exhaustive()
    }
}
