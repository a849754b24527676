//! Settings of a client.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::cache::DurableTier;
use super::client::{Client, Settings};
use super::error::LlmError;
use super::openai::OpenAiChat;
use super::pause::{CondvarPause, Pause};
use super::transport::Transport;
use super::wire::Wire;
use crate::retry::RetryPolicy;
use crate::time::{SharedClock, SystemClock};

/// Settings of a [`Client`].
pub struct Builder {
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
    pause: Arc<dyn Pause>,
    seed: Option<u64>,
    namespace: String,
}

impl Default for Builder {
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
            pause: Arc::new(CondvarPause),
            seed: None,
            namespace: String::new(),
        }
    }
}

impl Builder {
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

    /// What carries the requests. Required.
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

    /// Most requests in flight at once; a call that pauses before a retry holds none. Default 8.
    #[must_use]
    pub fn max_in_flight(mut self, most: usize) -> Self {
        self.max_in_flight = most;
        self
    }

    /// Most tokens of an answer, for requests that do not say. Default 1024.
    #[must_use]
    pub fn max_output_tokens(mut self, most: u32) -> Self {
        self.max_output_tokens = most;
        self
    }

    /// Most bytes of all messages of a request. Default 256 KiB.
    #[must_use]
    pub fn max_prompt_bytes(mut self, most: usize) -> Self {
        self.max_prompt_bytes = most;
        self
    }

    /// Most bytes of an answer's body. Default 4 MiB.
    #[must_use]
    pub fn max_answer_bytes(mut self, most: usize) -> Self {
        self.max_answer_bytes = most;
        self
    }

    /// When and how often requests are sent again. Default: [`RetryPolicy::model`].
    #[must_use]
    pub fn retry(mut self, policy: RetryPolicy) -> Self {
        self.retry = policy;
        self
    }

    /// Most time of a call: all attempts, pauses, re-asks and waits together. For a call that is put
    /// off, see [`Client::complete_or_later`]. Default: [`RetryPolicy::total`], 3 minutes.
    #[must_use]
    pub fn timeout(mut self, total: Duration) -> Self {
        self.timeout = Some(total);
        self
    }

    /// Most time of one request. Default 120 s.
    #[must_use]
    pub fn attempt_timeout(mut self, most: Duration) -> Self {
        self.attempt_timeout = most;
        self
    }

    /// Bytes of the memory tier of the response cache; 0 turns it off. An answer of more than an
    /// eighth of it is left to the durable tier. Default 16 MiB.
    #[must_use]
    pub fn memory_cache(mut self, bytes: usize) -> Self {
        self.memory_cache = bytes;
        self
    }

    /// How long an answer is used, from either tier, counted from when the model gave it; zero: for
    /// ever. Answers that were stored before their time was noted (by version 0.1.0 and earlier)
    /// are used only where this is zero. Default: zero.
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

    /// How [`Client::complete`] waits between attempts. Default: [`CondvarPause`].
    #[must_use]
    pub fn pause(mut self, pause: Arc<dyn Pause>) -> Self {
        self.pause = pause;
        self
    }

    /// Seed of the jitter. Default: from the system.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Separates cached answers of different uses. Default: empty.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// The client, if the settings make sense.
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
            return Err(wrong("endpoint", "it must not hold credentials; use the API key"));
        }
        if self.model.is_empty() {
            return Err(wrong("model", "it has no name"));
        }
        let key = self.api_key.as_ref().map_or("", ExposeSecret::expose_secret);
        if key.bytes().any(|byte| !(0x21..0x7f).contains(&byte)) {
            return Err(wrong("API key", "it holds characters that no header field may"));
        }
        let total = self.timeout.unwrap_or(self.retry.total);
        let retry = RetryPolicy { total, ..self.retry };
        let transport = self.transport.ok_or_else(|| wrong("transport", "there is none"))?;
        for (what, zero) in [
            ("max_in_flight", self.max_in_flight == 0),
            ("max_output_tokens", self.max_output_tokens == 0),
            ("max_attempts", retry.max_attempts == 0),
            ("timeout", retry.total.is_zero() || self.attempt_timeout.is_zero()),
        ] {
            if zero {
                return Err(wrong(what, "it is zero"));
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
            pause: self.pause,
            seed,
            namespace: self.namespace,
        }))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("model", &self.model).finish_non_exhaustive()
    }
}
