//! One load a key at a time.
//!
//! The first caller that misses becomes the leader and loads; the others wait on its flight. A
//! leader that fails or panics ends the flight as failed; the waiters look again, and one of them
//! leads the next.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::{Cache, InsertOptions};

/// Why nothing was loaded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError<E> {
    /// The loader of this call failed.
    #[error("the loader failed")]
    Loader(#[source] E),
    /// Another caller's load did not end in time.
    #[error("another thread's load did not end within {timeout:?}")]
    Timeout {
        /// How long this call waited.
        timeout: Duration,
    },
    /// The loader asked for the key that it is loading.
    #[error("the loader asked for the key that it is loading")]
    Reentrant,
}

/// The loads under way.
pub(super) struct Flights<K, V> {
    under_way: Mutex<HashMap<K, Arc<Flight<V>>>>,
}

struct Flight<V> {
    leader: ThreadId,
    /// A newer value was put, or the key invalidated: what is loaded must not be stored.
    superseded: AtomicBool,
    state: Mutex<State<V>>,
    ended: Condvar,
}

enum State<V> {
    Loading,
    Loaded(V),
    Failed,
}

impl<V> Flight<V> {
    fn led_by(leader: ThreadId) -> Self {
        Self {
            leader,
            superseded: AtomicBool::new(false),
            state: Mutex::new(State::Loading),
            ended: Condvar::new(),
        }
    }
}

impl<K, V> Default for Flights<K, V> {
    fn default() -> Self {
        Self { under_way: Mutex::new(HashMap::new()) }
    }
}

impl<K, V> fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<K: Hash + Eq, V> Flights<K, V> {
    pub(super) fn supersede<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if let Some(flight) = self.under_way.lock().get(key) {
            // Release pairs with the Acquire in `Inner::insert`.
            flight.superseded.store(true, Ordering::Release);
        }
    }

    pub(super) fn supersede_all(&self) {
        for flight in self.under_way.lock().values() {
            flight.superseded.store(true, Ordering::Release);
        }
    }
}

pub(super) fn load<K: Hash + Eq + Clone, V: Clone, E>(
    cache: &Cache<K, V>,
    key: &K,
    timeout: Duration,
    load: impl FnOnce() -> Result<V, E>,
) -> Result<V, LoadError<E>> {
    // Waiting for another thread is bounded by real time, whatever clock expiry goes by.
    let deadline = Instant::now() + timeout;
    let me = std::thread::current().id();
    loop {
        let flight = {
            let mut under_way = cache.inner.flights.under_way.lock();
            if let Some(flight) = under_way.get(key) {
                Arc::clone(flight)
            } else {
                // The winner of the last flight may have stored a value since the miss.
                if let Some(value) = cache.inner.peek(key) {
                    return Ok(value);
                }
                let flight = Arc::new(Flight::led_by(me));
                under_way.insert(key.clone(), Arc::clone(&flight));
                drop(under_way);
                return lead(cache, key, &flight, load);
            }
        };
        if flight.leader == me {
            return Err(LoadError::Reentrant);
        }
        let mut state = flight.state.lock();
        let loading = |state: &mut State<V>| matches!(state, State::Loading);
        let waited = flight.ended.wait_while_until(&mut state, loading, deadline);
        match &*state {
            State::Loaded(value) => return Ok(value.clone()),
            State::Loading if waited.timed_out() => return Err(LoadError::Timeout { timeout }),
            State::Loading | State::Failed => {}
        }
    }
}

/// Ends the flight, as failed unless told otherwise, even when the loader panics.
struct Landing<'a, K: Hash + Eq, V> {
    flights: &'a Flights<K, V>,
    key: &'a K,
    flight: &'a Flight<V>,
    loaded: Option<V>,
}

impl<K: Hash + Eq, V> Drop for Landing<'_, K, V> {
    fn drop(&mut self) {
        self.flights.under_way.lock().remove(self.key);
        *self.flight.state.lock() = self.loaded.take().map_or(State::Failed, State::Loaded);
        self.flight.ended.notify_all();
    }
}

fn lead<K: Hash + Eq + Clone, V: Clone, E>(
    cache: &Cache<K, V>,
    key: &K,
    flight: &Flight<V>,
    load: impl FnOnce() -> Result<V, E>,
) -> Result<V, LoadError<E>> {
    let inner = &*cache.inner;
    let mut landing = Landing { flights: &inner.flights, key, flight, loaded: None };
    let loaded = load();
    match loaded {
        Ok(value) => {
            inner.counters.loads.fetch_add(1, Ordering::Relaxed);
            let superseded = Some(&flight.superseded);
            inner.insert(key.clone(), value.clone(), InsertOptions::default(), superseded);
            landing.loaded = Some(value.clone());
            drop(landing);
            Ok(value)
        }
        Err(error) => {
            inner.counters.load_failures.fetch_add(1, Ordering::Relaxed);
            drop(landing);
            Err(LoadError::Loader(error))
        }
    }
}
