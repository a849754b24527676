//! Single-flight loading: concurrent misses of a key cost one load.

use std::borrow::Cow;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Lookup;
use super::entry::InsertOptions;
use super::flight::{Flight, FlightResult};
use super::inner::{Inner, Put};
use super::shard::Shard;
use super::stats::Outcome;
use crate::cancel::CancelToken;
use crate::cancel::wait::WaitError;
use crate::time::deadline_in;

/// Why nothing was loaded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// The loader of this call failed.
    #[error("the loader failed")]
    Loader(#[source] E),
    /// Another caller's load did not end within the timeout of this call.
    #[error("another thread's load did not end within {timeout:?}")]
    Timeout {
        /// How long this call waited.
        timeout: Duration,
    },
    /// The loader asked the cache for the key that it is loading. It would wait for itself.
    #[error("the loader asked for the key that it is loading")]
    Reentrant,
    /// The call was cancelled before it loaded, or while it waited.
    #[error("the call was cancelled")]
    Cancelled,
}

/// How long a call that may load waits, and what cancels it.
#[derive(Clone, Debug)]
pub struct LoadOptions<'a> {
    timeout: Duration,
    cancel: Option<Cow<'a, CancelToken>>,
}

impl<'a> LoadOptions<'a> {
    /// Waits at most `timeout` for another caller's load. If this call loads itself and takes
    /// longer, it is not interrupted, but it no longer holds the key: the next caller loads too,
    /// and then this call's value is returned but not stored.
    pub fn within(timeout: Duration) -> Self {
        Self { timeout, cancel: None }
    }

    /// Gives up when the token is cancelled, before the load or while waiting for another caller's.
    /// A loader that is to stop early has to check the token itself. Default: no token.
    #[must_use]
    pub fn cancel(mut self, token: &'a CancelToken) -> Self {
        self.cancel = Some(Cow::Borrowed(token));
        self
    }

    fn token(&self) -> Option<&CancelToken> {
        self.cancel.as_deref()
    }
}

impl From<Duration> for LoadOptions<'_> {
    fn from(timeout: Duration) -> Self {
        Self::within(timeout)
    }
}

/// What a loader found: a value or a known absence, and the options to store it with.
#[derive(Clone, Debug)]
pub struct Loaded<V> {
    value: Option<V>,
    options: InsertOptions,
}

impl<V> Loaded<V> {
    /// A value.
    pub fn value(value: V) -> Self {
        Self { value: Some(value), options: InsertOptions::default() }
    }

    /// A known absence, remembered for the cache's negative time to live.
    pub fn absent() -> Self {
        Self { value: None, options: InsertOptions::default() }
    }

    /// Sets the expiry and tags to store it with.
    #[must_use]
    pub fn with(mut self, options: InsertOptions) -> Self {
        self.options = options;
        self
    }
}

impl<V> From<Option<V>> for Loaded<V> {
    fn from(value: Option<V>) -> Self {
        Self { value, options: InsertOptions::default() }
    }
}

/// What a caller without a fresh value is to do.
enum Role<V> {
    Found(Option<V>),
    Lead(Arc<Flight<V>>),
    Follow(Arc<Flight<V>>),
    Reentrant,
}

impl<K: Hash + Eq + Clone, V: Clone> Inner<K, V> {
    /// A known absence is an answer if `absence` is set, and a miss otherwise.
    pub(super) fn get_or_load<E>(
        &self,
        key: &K,
        options: &LoadOptions<'_>,
        absence: bool,
        load: impl FnOnce() -> Result<Loaded<V>, E>,
    ) -> Result<Option<V>, LoadError<E>> {
        let hash = self.table.hash(key);
        let stale = match self.lookup(hash, key) {
            Lookup::Fresh(value) => {
                self.counters.count(Outcome::Hit);
                return Ok(Some(value));
            }
            Lookup::Absent if absence => {
                self.counters.count(Outcome::NegativeHit);
                return Ok(None);
            }
            Lookup::Stale(value) => Some(value),
            Lookup::Absent | Lookup::Missing => None,
        };
        let deadline = deadline_in(options.timeout);
        if stale.is_none() {
            self.counters.count(Outcome::Miss);
        }
        loop {
            if options.token().is_some_and(CancelToken::is_cancelled) {
                return self.stale_or(stale, LoadError::Cancelled);
            }
            let flight = match (self.role(hash, key, absence, deadline), &stale) {
                (Role::Found(value), stale) => {
                    if stale.is_some() {
                        self.counters.count(Outcome::Hit);
                    }
                    return Ok(value);
                }
                (Role::Lead(flight), _) => return self.lead(hash, key, &flight, stale, load),
                (_, Some(_)) => {
                    self.counters.count(Outcome::StaleHit);
                    return Ok(stale);
                }
                (Role::Reentrant, None) => return Err(LoadError::Reentrant),
                (Role::Follow(flight), None) => flight,
            };
            match flight.wait(deadline.min(flight.overdue_at), options.token()) {
                Ok(Some(value)) if absence || value.is_some() => {
                    return Ok(Option::clone(&value));
                }
                Err(WaitError::Cancelled) => return Err(LoadError::Cancelled),
                Err(WaitError::TimedOut) if Instant::now() >= deadline => {
                    return Err(LoadError::Timeout { timeout: options.timeout });
                }
                // The load failed, is overdue, or found no value: this caller may lead the next.
                Ok(_) | Err(WaitError::TimedOut) => {}
            }
        }
    }

    /// Joins the load under way, or starts one that is overdue at `deadline`.
    fn role(&self, hash: u64, key: &K, absence: bool, deadline: Instant) -> Role<V> {
        let me = std::thread::current().id();
        // Set inside and dropped outside the lock.
        let mut found = Lookup::Missing;
        let role = self.with_shard(self.shard_of(hash), |shard, removed| {
            // The last leader may have stored a value since the miss.
            found = self.peek(hash, key);
            match found {
                Lookup::Fresh(_) => return None,
                Lookup::Absent if absence => return None,
                Lookup::Stale(_) | Lookup::Absent | Lookup::Missing => {}
            }
            if let Some(flight) = shard.flights.get(key) {
                if flight.leader == me {
                    return Some(Role::Reentrant);
                }
                if Instant::now() < flight.overdue_at {
                    return Some(Role::Follow(Arc::clone(flight)));
                }
            }
            removed.supersede(shard, key);
            let flight = Arc::new(Flight::new(me, deadline));
            shard.flights.insert(key.clone(), Arc::clone(&flight));
            Some(Role::Lead(flight))
        });
        match (role, found) {
            (Some(role), _) => role,
            (None, Lookup::Fresh(value)) => Role::Found(Some(value)),
            (None, Lookup::Stale(_) | Lookup::Absent | Lookup::Missing) => Role::Found(None),
        }
    }

    fn lead<E>(
        &self,
        hash: u64,
        key: &K,
        flight: &Arc<Flight<V>>,
        stale: Option<V>,
        load: impl FnOnce() -> Result<Loaded<V>, E>,
    ) -> Result<Option<V>, LoadError<E>> {
        let mut leader = Leader { inner: self, hash, key, flight, result: FlightResult::Failed };
        match load() {
            Ok(loaded) => {
                if stale.is_some() {
                    self.counters.count(Outcome::Miss);
                }
                Ok(leader.finish(loaded))
            }
            Err(error) => {
                drop(leader);
                self.stale_or(stale, LoadError::Loader(error))
            }
        }
    }

    /// The stale value, if there is one, in place of the error.
    fn stale_or<E>(
        &self,
        stale: Option<V>,
        error: LoadError<E>,
    ) -> Result<Option<V>, LoadError<E>> {
        let Some(value) = stale else { return Err(error) };
        self.counters.count(Outcome::StaleHit);
        Ok(Some(value))
    }
}

/// The calling thread as the leader of a flight. Dropping it ends the flight, as failed unless it
/// has finished, so a loader that panics leaves no waiters behind.
struct Leader<'a, K: Hash + Eq + Clone, V: Clone> {
    inner: &'a Inner<K, V>,
    hash: u64,
    key: &'a K,
    flight: &'a Arc<Flight<V>>,
    result: FlightResult<V>,
}

impl<K: Hash + Eq + Clone, V: Clone> Leader<'_, K, V> {
    /// Whether the load may be stored: nothing was inserted or invalidated under the key since it
    /// started, and no other caller has taken over because it was overdue.
    fn is_current(&self, shard: &Shard<K, V>, key: &K) -> bool {
        shard.flights.get(key).is_some_and(|own| Arc::ptr_eq(own, self.flight))
    }

    /// Stores what was loaded if the load is still current, and sets the result for the waiters.
    fn finish(&mut self, loaded: Loaded<V>) -> Option<V> {
        let Loaded { value, options } = loaded;
        let put = Put { value: value.clone(), options };
        self.inner.put(self.hash, self.key.clone(), put, |shard, key| self.is_current(shard, key));
        self.result = FlightResult::Loaded(Arc::new(value.clone()));
        value
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Drop for Leader<'_, K, V> {
    fn drop(&mut self) {
        self.inner.with_shard(self.inner.shard_of(self.hash), |shard, removed| {
            if self.is_current(shard, self.key) {
                removed.supersede(shard, self.key);
            }
        });
        let counters = &self.inner.counters;
        let counter = match &self.result {
            FlightResult::Loaded(_) => &counters.loads,
            FlightResult::Failed => &counters.load_failures,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        self.flight.finish(std::mem::replace(&mut self.result, FlightResult::Failed));
    }
}
