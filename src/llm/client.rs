//! The client: cache and single flight around the exchange with the server.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use super::answers::{StoredAnswer, as_cached};
use super::builder::ClientBuilder;
use super::cache::{DurableTier, MemoryTier};
use super::call::{Call, Continuation};
use super::deadline::Deadline;
use super::error::{LlmError, ResponseInfo};
use super::flight::{Deferral, Flight, FlightOutcome, Flights, Leader, Participant};
use super::key::{Scope, request_key};
use super::request::{CacheTier, ChatRequest, Completion};
use super::schema::CompiledSchemas;
use super::stats::{LlmStats, Recorder};
use super::timer::Timer;
use super::transport::{SecretHeader, Transport};
use super::wire::{Dialect, Wire};
use crate::cache::Upkeep;
use crate::cancel::CancelToken;
use crate::cancel::wait::Waitable;
use crate::model::Headers;
use crate::pool::Semaphore;
use crate::retry::RetryPolicy;
use crate::time::SharedClock;

/// How often an answer that does not satisfy the schema is sent back, at most.
pub(super) const MAX_REASKS: u32 = 2;

/// A client of one model at one endpoint. Clones share everything.
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

/// The settings, checked.
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
    pub(super) timer: Arc<dyn Timer>,
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
    pub(super) schemas: CompiledSchemas,
    pub(super) memory: MemoryTier,
    flights: Flights,
}

impl Client {
    /// Settings with their defaults.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
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
            schemas: CompiledSchemas::default(),
            memory: MemoryTier::new(settings.memory_cache, settings.cache_ttl, &settings.clock),
            flights: Flights::default(),
            settings,
        };
        Self { inner: Arc::new(inner) }
    }

    /// Answers `request` from the cache or by the model. Blocks while it waits for a retry; see
    /// [`RetryPolicy`].
    ///
    /// With a schema, [`Completion::value`] satisfies it.
    pub fn complete(
        &self,
        request: &ChatRequest,
        cancel: &CancelToken,
    ) -> Result<Completion, LlmError> {
        self.proceed(request, &mut Continuation::default(), cancel, true)
    }

    /// Like [`Client::complete`], but returns [`LlmError::Later`] where that would wait for a retry.
    /// Calling again after the wait, with the same request and `continuation`, continues the call.
    /// So the caller can wait in a way that costs no thread.
    ///
    /// Attempts, backoff and time count over all visits, as if they were one call. Its time
    /// ([`ClientBuilder::timeout`]) is that of the visits and of the waits as they were asked for. A
    /// caller's delay beyond a wait does not count, as it says nothing about the server. A caller
    /// that returns early makes the request early.
    ///
    /// A call that joined an equal one is deferred with it, and continues with its backoff. This
    /// method still blocks for answers, and for a permit while [`ClientBuilder::max_in_flight`]
    /// requests are in flight.
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
    /// let (request, mut continuation) = (ChatRequest::new().user("Why?"), Continuation::default());
    /// let put_off = client.complete_or_later(&request, &mut continuation, &CancelToken::new());
    /// let Err(LlmError::Later { wait, attempts, .. }) = put_off else { panic!("{put_off:?}") };
    /// assert_eq!((wait, attempts), (Duration::from_secs(7), 1));
    /// # Ok::<(), LlmError>(())
    /// ```
    pub fn complete_or_later(
        &self,
        request: &ChatRequest,
        continuation: &mut Continuation,
        cancel: &CancelToken,
    ) -> Result<Completion, LlmError> {
        self.proceed(request, continuation, cancel, false)
    }

    /// Continues a call until it ends or, unless it is `blocking`, is deferred.
    pub(crate) fn proceed(
        &self,
        request: &ChatRequest,
        continuation: &mut Continuation,
        cancel: &CancelToken,
        blocking: bool,
    ) -> Result<Completion, LlmError> {
        let inner = &*self.inner;
        let start = inner.clock().monotonic();
        let max_tokens = request.max_tokens.unwrap_or(inner.settings.max_output_tokens);
        let key = inner.key(request, max_tokens);
        if key.as_ref().map_or(true, |key| continuation.start_if_new(*key)) {
            inner.stats.count(|stats| stats.calls += 1);
        }
        let left = inner.timeout().saturating_sub(continuation.spent);
        let deadline = Deadline::after(inner.clock(), left);
        let mut call = Call { cancel, deadline, max_tokens, blocking, continuation };
        let result = key.and_then(|key| inner.answer(request, &key, &mut call));
        let elapsed = inner.clock().monotonic().saturating_sub(start);
        continuation.spent = continuation.spent.saturating_add(elapsed);
        if let Err(LlmError::Later { wait, .. }) = &result {
            continuation.spent = continuation.spent.saturating_add(*wait);
            inner.stats.count(|stats| stats.put_off += 1);
        } else {
            inner.stats.finished(result.as_ref().map_err(LlmError::kind), continuation.spent);
        }
        result
    }

    /// Answers `request` with a value of `T`, whose JSON Schema replaces the request's own.
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
                response: Box::new(ResponseInfo {
                    endpoint: self.inner.endpoint.clone(),
                    request_id: completion.request_id,
                    usage: completion.usage,
                    ..ResponseInfo::default()
                }),
            }),
        }
    }

    /// The model that answers are requested from.
    pub fn model(&self) -> &str {
        self.inner.model()
    }

    /// Size limit of a request's messages together, in bytes.
    pub fn max_prompt_bytes(&self) -> usize {
        self.inner.settings.max_prompt_bytes
    }

    /// Counters since the client was built.
    pub fn stats(&self) -> LlmStats {
        self.inner.stats.snapshot()
    }

    /// The memory tier of the response cache, for its counters and upkeep; `None` if it is off.
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
    /// The key of a request, unless the request is too large.
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
        // Each round ends the call, leads a flight, or waits for one under the deadline.
        loop {
            let ended = self.flights.ended();
            if let Some(answer) = self.remembered(key) {
                return Ok(answer);
            }
            match self.flights.join(*key) {
                Participant::Leader(leader) => {
                    // The flight before this one may have ended between the lookup and the join.
                    if self.flights.ended() != ended
                        && let Some(answer) = self.remembered(key)
                    {
                        drop(leader.finish(Ok(Arc::new(answer.clone()))));
                        return Ok(answer);
                    }
                    return self.lead(leader, key, request, call);
                }
                Participant::Follower(flight) => match self.outcome(&flight, call)? {
                    FlightOutcome::Answer(answer) => {
                        self.stats.count(|stats| stats.joined += 1);
                        return Ok(as_cached(&answer, CacheTier::Memory));
                    }
                    FlightOutcome::Failure(error) => return Err(LlmError::Shared(error)),
                    FlightOutcome::Deferred(deferral) => self.follow_deferral(deferral, call)?,
                    FlightOutcome::Abandoned => {}
                },
            }
        }
    }

    /// Waits until the flight has ended or, unless the call is blocking, until its leader waits.
    fn outcome(
        &self,
        flight: &Waitable<Flight>,
        call: &Call<'_>,
    ) -> Result<FlightOutcome, LlmError> {
        let now = || self.clock().monotonic();
        let known = |flight: &mut Flight| {
            let wait = || if call.blocking { None } else { flight.leaders_wait(now) };
            flight.outcome().or_else(wait)
        };
        let deadline = call.deadline.instant();
        flight.wait(deadline, call.cancel, known).map_err(|error| self.gave_up(error, call))
    }

    /// A follower is deferred with its leader and takes over the leader's backoff. Whichever of them
    /// returns first leads the next flight, so a chain of equal calls is as bounded as one.
    fn follow_deferral(&self, deferral: Deferral, call: &mut Call<'_>) -> Result<(), LlmError> {
        let Deferral { until, retries, cause } = deferral;
        let progress = &mut call.continuation.exchange;
        progress.retries = progress.retries.max(retries);
        let wait = until.saturating_sub(self.clock().monotonic());
        let decision = self.retry().accept(wait, call.deadline.left());
        match self.apply(decision, LlmError::Shared(cause), call) {
            LlmError::Later { wait, .. } if call.blocking => self.wait_out(wait, call),
            error => Err(error),
        }
    }

    fn wait_out(&self, wait: Duration, call: &Call<'_>) -> Result<(), LlmError> {
        self.settings.timer.wait(wait, call.cancel).map_err(|_| LlmError::Cancelled)
    }

    fn lead(
        &self,
        leader: Leader<'_>,
        key: &[u8; 32],
        request: &ChatRequest,
        call: &mut Call<'_>,
    ) -> Result<Completion, LlmError> {
        if let Some(StoredAnswer { answer, bytes, ttl }) = self.stored(key) {
            let answer = Arc::new(answer);
            self.memory.put(*key, Arc::clone(&answer), bytes, ttl);
            self.stats.count(|stats| stats.disk_hits += 1);
            let answer = leader.finish(Ok(answer))?;
            return Ok(as_cached(&answer, CacheTier::Disk));
        }
        let fresh = loop {
            let (wait, attempts, deferral) = match self.converse(request, call) {
                Err(LlmError::Later { wait, attempts, source }) => {
                    let until = self.clock().monotonic().saturating_add(wait);
                    let retries = call.continuation.exchange.retries;
                    (wait, attempts, Deferral { until, retries, cause: Arc::new(*source) })
                }
                ended => break ended.map(Arc::new),
            };
            if !call.blocking {
                let source = Box::new(leader.defer(deferral));
                return Err(LlmError::Later { wait, attempts, source });
            }
            leader.announce(Some(deferral));
            if let Err(cancelled) = self.wait_out(wait, call) {
                break Err(cancelled);
            }
            leader.announce(None);
        };
        if let Ok(answer) = &fresh {
            self.keep(key, answer);
        }
        leader.finish(fresh).map(|answer| (*answer).clone())
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
