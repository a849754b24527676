//! The client: cache and single flight around the asking.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::builder::Builder;
use super::cache::{DurableTier, MemoryTier};
use super::call::{Call, Continuation};
use super::deadline::Deadline;
use super::error::{LlmError, Served};
use super::flight::{Flight, Flights, Landing, Leader, PutOff, Seat};
use super::key::{Scope, request_key};
use super::pause::Pause;
use super::request::{CacheTier, ChatRequest, Completion};
use super::schema::SchemaBook;
use super::stats::{LlmStats, Recorder};
use super::tiers::{Stored, from_cache};
use super::transport::{SecretHeader, Transport};
use super::wire::{Dialect, Wire};
use crate::cache::Upkeep;
use crate::cancel::CancelToken;
use crate::cancel::wait::Waitable;
use crate::model::Headers;
use crate::pool::Semaphore;
use crate::retry::RetryPolicy;
use crate::time::SharedClock;

/// Most times that an answer is sent back because it does not satisfy the schema.
pub const MAX_REASKS: u32 = 2;

/// Asks one model at one endpoint. Clones share everything.
///
/// ```
/// use std::sync::Arc;
/// use gristmill::cancel::CancelToken;
/// use gristmill::llm::{ChatRequest, Client, HttpReply, HttpRequest, Transport, TransportError};
///
/// struct Canned;
/// impl Transport for Canned {
///     fn post(&self, _: &HttpRequest<'_>, _: &CancelToken) -> Result<HttpReply, TransportError> {
///         let body = br#"{"choices": [{"message": {"content": "Blue."}}]}"#.to_vec();
///         Ok(HttpReply { status: 200, headers: Default::default(), body })
///     }
/// }
///
/// let client = Client::builder()
///     .endpoint("http://127.0.0.1:8080/v1")
///     .model("small")
///     .transport(Arc::new(Canned))
///     .build()?;
/// let request = ChatRequest::new().user("What colour is the sky?");
/// assert_eq!(client.complete(&request, &CancelToken::new())?.text, "Blue.");
/// # Ok::<(), gristmill::llm::LlmError>(())
/// ```
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

/// What a builder hands over.
pub(super) struct Settings {
    pub(super) url: Url,
    pub(super) model: String,
    pub(super) api_key: Option<SecretString>,
    pub(super) transport: Arc<dyn Transport>,
    pub(super) wire: Arc<dyn Wire>,
    pub(super) max_in_flight: usize,
    pub(super) max_output_tokens: u32,
    pub(super) max_prompt_bytes: usize,
    pub(super) max_answer_bytes: usize,
    pub(super) retry: RetryPolicy,
    pub(super) attempt_timeout: Duration,
    pub(super) memory_cache: usize,
    pub(super) cache_ttl: Duration,
    pub(super) cache: Option<Arc<DurableTier>>,
    pub(super) clock: SharedClock,
    pub(super) pause: Arc<dyn Pause>,
    pub(super) seed: u64,
    pub(super) namespace: String,
}

pub(super) struct Inner {
    pub(super) settings: Settings,
    /// The URL without query, for errors: a query may hold a key.
    pub(super) endpoint: String,
    pub(super) headers: Headers,
    pub(super) secret_headers: Vec<SecretHeader>,
    pub(super) dialect: Mutex<Dialect>,
    /// One permit for each request in flight.
    pub(super) permits: Semaphore,
    pub(super) random: Mutex<fastrand::Rng>,
    pub(super) stats: Recorder,
    pub(super) schemas: SchemaBook,
    pub(super) memory: MemoryTier,
    flights: Flights,
}

impl Client {
    /// Settings with their defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(super) fn new(settings: Settings) -> Self {
        let mut shown = settings.url.clone();
        shown.set_query(None);
        let mut headers = Headers::default();
        headers.push("content-type", "application/json");
        headers.push("accept", "application/json");
        let key = settings.api_key.as_ref();
        let secret_headers = key.map(|key| settings.wire.authentication(key)).unwrap_or_default();
        let inner = Inner {
            endpoint: shown.into(),
            headers,
            secret_headers,
            dialect: Mutex::default(),
            permits: Semaphore::new(settings.max_in_flight),
            random: Mutex::new(fastrand::Rng::with_seed(settings.seed)),
            stats: Recorder::new(),
            schemas: SchemaBook::default(),
            memory: MemoryTier::new(settings.memory_cache, settings.cache_ttl, &settings.clock),
            flights: Flights::default(),
            settings,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Answers `request` from the cache or by the model. Pauses before retries; see
    /// [`RetryPolicy`].
    ///
    /// With a schema, [`Completion::value`] satisfies it.
    pub fn complete(
        &self,
        request: &ChatRequest,
        cancel: &CancelToken,
    ) -> Result<Completion, LlmError> {
        self.go_on(request, &mut Continuation::default(), cancel, true)
    }

    /// Like [`Client::complete`], but never pauses: where that would, this fails with
    /// [`LlmError::Later`], which says how long to wait. Calling again with the same request and
    /// `so_far` goes on with the call, so a caller may wait in whatever way costs it no thread.
    ///
    /// Attempts, backoff and time are counted over all visits as if they were one call. Its time
    /// ([`Builder::timeout`]) is that of the visits and of the waits as they were asked for: what
    /// the caller comes too late does not count, as it is not the server's fault. A caller that
    /// comes too early asks the server too early.
    ///
    /// A call that joins an equal one under way is put off with it, and goes on with its backoff.
    /// This still waits for answers, and for a permit while [`Builder::max_in_flight`] requests are
    /// in flight.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use gristmill::cancel::CancelToken;
    /// use gristmill::llm::{
    ///     ChatRequest, Client, Continuation, HttpReply, HttpRequest, LlmError, Transport,
    ///     TransportError,
    /// };
    /// use gristmill::model::Headers;
    ///
    /// struct Busy;
    /// impl Transport for Busy {
    ///     fn post(&self, _: &HttpRequest<'_>, _: &CancelToken) -> Result<HttpReply, TransportError> {
    ///         let mut headers = Headers::default();
    ///         headers.push("retry-after", "7");
    ///         Ok(HttpReply { status: 429, headers, body: Vec::new() })
    ///     }
    /// }
    ///
    /// let client = Client::builder()
    ///     .endpoint("http://127.0.0.1:8080/v1")
    ///     .model("small")
    ///     .transport(Arc::new(Busy))
    ///     .build()?;
    /// let (request, mut so_far) = (ChatRequest::new().user("Why?"), Continuation::default());
    /// let put_off = client.complete_or_later(&request, &mut so_far, &CancelToken::new());
    /// let Err(LlmError::Later { wait, attempts, .. }) = put_off else { panic!("{put_off:?}") };
    /// assert_eq!((wait, attempts), (Duration::from_secs(7), 1));
    /// # Ok::<(), LlmError>(())
    /// ```
    pub fn complete_or_later(
        &self,
        request: &ChatRequest,
        so_far: &mut Continuation,
        cancel: &CancelToken,
    ) -> Result<Completion, LlmError> {
        self.go_on(request, so_far, cancel, false)
    }

    /// Goes on with a call until it ends or, unless it `pauses`, is put off.
    pub(crate) fn go_on(
        &self,
        request: &ChatRequest,
        so_far: &mut Continuation,
        cancel: &CancelToken,
        pauses: bool,
    ) -> Result<Completion, LlmError> {
        let inner = &*self.inner;
        let start = inner.clock().monotonic();
        let max_tokens = request.max_tokens.unwrap_or(inner.settings.max_output_tokens);
        let key = inner.key(request, max_tokens);
        if key.as_ref().map_or(true, |key| so_far.take_up(*key)) {
            inner.stats.count(|stats| stats.calls += 1);
        }
        let left = inner.timeout().saturating_sub(so_far.spent);
        let deadline = Deadline::after(inner.clock(), left);
        let mut call = Call { cancel, deadline, max_tokens, pauses, so_far };
        let result = key.and_then(|key| inner.answer(request, &key, &mut call));
        let elapsed = inner.clock().monotonic().saturating_sub(start);
        so_far.spent = so_far.spent.saturating_add(elapsed);
        if let Err(LlmError::Later { wait, .. }) = &result {
            so_far.spent = so_far.spent.saturating_add(*wait);
            inner.stats.count(|stats| stats.put_off += 1);
        } else {
            inner.stats.finished(result.as_ref().map_err(LlmError::kind), so_far.spent);
        }
        result
    }

    /// Answers `request` with a value of `T`, whose JSON Schema takes the place of the request's.
    pub fn complete_as<T: DeserializeOwned + JsonSchema>(
        &self,
        request: &ChatRequest,
        cancel: &CancelToken,
    ) -> Result<(T, Completion), LlmError> {
        let mut schema = schemars::schema_for!(T).to_value();
        if let Some(members) = schema.as_object_mut() {
            members.remove("$schema");
        }
        let request = ChatRequest { schema: Some(schema), ..request.clone() };
        let completion = self.complete(&request, cancel)?;
        let value = completion.value.clone().unwrap_or(Value::Null);
        match serde_json::from_value(value) {
            Ok(value) => Ok((value, completion)),
            Err(error) => Err(LlmError::Invalid {
                path: String::new(),
                reason: error.to_string(),
                served: Box::new(Served {
                    endpoint: self.inner.endpoint.clone(),
                    request_id: completion.request_id,
                    usage: completion.usage,
                    ..Served::default()
                }),
            }),
        }
    }

    /// The model that is asked for.
    pub fn model(&self) -> &str {
        self.inner.model()
    }

    /// Most bytes of all messages of a request.
    pub fn max_prompt_bytes(&self) -> usize {
        self.inner.settings.max_prompt_bytes
    }

    /// What the client has done so far.
    pub fn stats(&self) -> LlmStats {
        self.inner.stats.snapshot()
    }

    /// The memory tier of the response cache, for its figures and its upkeep; `None` where it is
    /// off.
    pub fn response_cache(&self) -> Option<Box<dyn Upkeep>> {
        let cache = self.inner.memory.cache()?;
        Some(Box::new(cache.clone()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.inner.endpoint)
            .field("model", &self.inner.model())
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// The key of a request, which must not be too large.
    fn key(&self, request: &ChatRequest, max_tokens: u32) -> Result<[u8; 32], LlmError> {
        let (bytes, limit) = (request.prompt_bytes(), self.settings.max_prompt_bytes);
        if bytes > limit {
            return Err(LlmError::PromptTooLarge { bytes, limit });
        }
        let scope = Scope {
            endpoint: self.url().as_str(),
            wire: self.wire().name(),
            model: self.model(),
            namespace: &self.settings.namespace,
        };
        Ok(request_key(scope, request, max_tokens))
    }

    fn answer(
        &self,
        request: &ChatRequest,
        key: &[u8; 32],
        call: &mut Call<'_>,
    ) -> Result<Completion, LlmError> {
        // Each turn ends the call, leads a flight, or waits for one under the deadline.
        loop {
            let ended = self.flights.ended();
            if let Some(answer) = self.remembered(key) {
                return Ok(answer);
            }
            match self.flights.join(*key) {
                Seat::Leader(leader) => {
                    // The flight before this one may have landed between the look and the join.
                    if self.flights.ended() != ended
                        && let Some(answer) = self.remembered(key)
                    {
                        drop(leader.land(Ok(Arc::new(answer.clone()))));
                        return Ok(answer);
                    }
                    return self.lead(leader, key, request, call);
                }
                Seat::Follower(flight) => match self.landing(&flight, call)? {
                    Landing::Answer(answer) => {
                        self.stats.count(|stats| stats.joined += 1);
                        return Ok(from_cache(&answer, CacheTier::Memory));
                    }
                    Landing::Failure(error) => return Err(LlmError::Shared(error)),
                    Landing::Later(put_off) => self.follow_put_off(put_off, call)?,
                    Landing::Abandoned => {}
                },
            }
        }
    }

    /// Waits until the flight has landed; where the call may not pause, only until its leader does.
    fn landing(&self, flight: &Waitable<Flight>, call: &Call<'_>) -> Result<Landing, LlmError> {
        let now = || self.clock().monotonic();
        let known = |flight: &mut Flight| {
            let pause = || if call.pauses { None } else { flight.pause(now) };
            flight.landing().or_else(pause)
        };
        let deadline = call.deadline.instant();
        flight.wait(deadline, call.cancel, known).map_err(|error| self.gave_up(error, call))
    }

    /// A follower is put off with its leader, and goes on with the leader's backoff: whoever of
    /// them comes back first asks, and the others follow that one.
    fn follow_put_off(&self, put_off: PutOff, call: &mut Call<'_>) -> Result<(), LlmError> {
        let PutOff { until, retries, cause } = put_off;
        let standing = &mut call.so_far.exchange;
        standing.retries = standing.retries.max(retries);
        let wait = until.saturating_sub(self.clock().monotonic());
        let decision = self.retry().accept(wait, call.deadline.left());
        match self.later(decision, LlmError::Shared(cause), call) {
            LlmError::Later { wait, .. } if call.pauses => self.sit_out(wait, call),
            error => Err(error),
        }
    }

    fn sit_out(&self, wait: Duration, call: &Call<'_>) -> Result<(), LlmError> {
        self.settings.pause.pause(wait, call.cancel).map_err(|_| LlmError::Cancelled)
    }

    fn lead(
        &self,
        leader: Leader<'_>,
        key: &[u8; 32],
        request: &ChatRequest,
        call: &mut Call<'_>,
    ) -> Result<Completion, LlmError> {
        if let Some(Stored { answer, bytes, ttl }) = self.stored(key) {
            let answer = Arc::new(answer);
            self.memory.put(*key, Arc::clone(&answer), bytes, ttl);
            self.stats.count(|stats| stats.disk_hits += 1);
            let answer = leader.land(Ok(answer))?;
            return Ok(from_cache(&answer, CacheTier::Disk));
        }
        let fresh = loop {
            let (wait, attempts, put_off) = match self.ask(request, call) {
                Err(LlmError::Later { wait, attempts, source }) => {
                    let until = self.clock().monotonic().saturating_add(wait);
                    let retries = call.so_far.exchange.retries;
                    (wait, attempts, PutOff { until, retries, cause: Arc::new(*source) })
                }
                ended => break ended.map(Arc::new),
            };
            if !call.pauses {
                let source = Box::new(leader.put_off(put_off));
                return Err(LlmError::Later { wait, attempts, source });
            }
            leader.pause(Some(put_off));
            if let Err(cancelled) = self.sit_out(wait, call) {
                break Err(cancelled);
            }
            leader.pause(None);
        };
        if let Ok(answer) = &fresh {
            self.remember(key, answer);
        }
        leader.land(fresh).map(|answer| (*answer).clone())
    }

    pub(super) fn url(&self) -> &Url {
        &self.settings.url
    }

    pub(super) fn wire(&self) -> &dyn Wire {
        &*self.settings.wire
    }

    pub(super) fn model(&self) -> &str {
        &self.settings.model
    }

    pub(super) fn api_key(&self) -> Option<&SecretString> {
        self.settings.api_key.as_ref()
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.settings.transport
    }

    pub(super) fn retry(&self) -> &RetryPolicy {
        &self.settings.retry
    }

    pub(super) fn timeout(&self) -> Duration {
        self.settings.retry.total
    }

    pub(super) fn attempt_timeout(&self) -> Duration {
        self.settings.attempt_timeout
    }

    pub(super) fn max_answer_bytes(&self) -> usize {
        self.settings.max_answer_bytes
    }

    pub(super) fn clock(&self) -> &SharedClock {
        &self.settings.clock
    }

    pub(super) fn max_prompt_bytes(&self) -> usize {
        self.settings.max_prompt_bytes
    }
}
