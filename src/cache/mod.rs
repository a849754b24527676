//! A bounded cache with expiry, single-flight loading and weights.
//!
//! ```
//! use std::time::Duration;
//! use gristmill::cache::Cache;
//!
//! let pages: Cache<String, String> = Cache::builder()
//!     .capacity(1 << 20)
//!     .weigher(|url: &String, body: &String| (url.len() + body.len()) as u64)
//!     .ttl(Duration::from_secs(60))
//!     .build();
//! let page = pages
//!     .get_or_load(&"a".to_owned(), Duration::from_secs(5), || Ok::<_, std::io::Error>("A".to_owned()))
//!     .unwrap();
//! assert_eq!(page, "A");
//! assert_eq!(pages.get("a"), Some("A".to_owned()));
//! ```
//!
//! A hit takes the read lock of one shard of the map and nothing else. A write takes the policy
//! lock, changes the map and the queues under it, and drops values and runs the listener after it.
//! Lock order: policy, then map; no code of the user runs under either.
//!
//! Eviction is S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP '23):
//! new entries pass through a small queue of a tenth of the capacity, those that were read in it
//! move to the main queue, and a queue of ghosts remembers what left too early. Expired entries go
//! before live ones.

mod builder;
mod entry;
mod flight;
mod policy;
mod stats;
#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use crate::time::SharedClock;

pub use builder::CacheBuilder;
pub use entry::{EvictionCause, InsertOptions};
pub use flight::LoadError;
pub use stats::CacheStats;

use entry::Entry;
use flight::Flights;
use policy::{Policy, Victim};
use stats::Counters;

/// Expired entries that one write sweeps out at the most.
const SWEEP_PER_WRITE: usize = 8;

pub(crate) type Weigher<K, V> = dyn Fn(&K, &V) -> u64 + Send + Sync;
pub(crate) type Listener<K, V> = dyn Fn(&K, &V, EvictionCause) + Send + Sync;

/// A bounded, sharded cache. Clones share it. Values are cloned out, so keep large ones in an
/// `Arc`.
pub struct Cache<K, V> {
    inner: Arc<Inner<K, V>>,
}

struct Inner<K, V> {
    map: DashMap<K, Arc<Entry<V>>, RandomState>,
    hasher: RandomState,
    policy: Mutex<Policy<K>>,
    flights: Flights<K, V>,
    counters: Counters,
    clock: SharedClock,
    capacity: u64,
    ttl: Option<Duration>,
    idle: Option<Duration>,
    weigher: Option<Box<Weigher<K, V>>>,
    listener: Option<Box<Listener<K, V>>>,
}

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("capacity", &self.inner.capacity).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// Begins to set a cache up.
    pub fn builder() -> CacheBuilder<K, V> {
        CacheBuilder::new()
    }

    /// The value under `key`, if it is there and has not expired.
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let inner = &*self.inner;
        let now = inner.clock.monotonic();
        let entry = inner.map.get(key).map(|found| Arc::clone(found.value()));
        let Some(entry) = entry else {
            inner.counters.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        if entry.is_expired(now, inner.idle) {
            inner.counters.misses.fetch_add(1, Ordering::Relaxed);
            inner.remove(key, Some(&entry), EvictionCause::Expired);
            return None;
        }
        entry.touch(now);
        inner.counters.hits.fetch_add(1, Ordering::Relaxed);
        Some(entry.value.clone())
    }

    /// Puts a value with the cache's own expiry. Refused, and counted, if it is heavier than an
    /// eighth of the capacity; an older value under the key goes in any case.
    pub fn insert(&self, key: K, value: V) {
        self.insert_with(key, value, InsertOptions::default());
    }

    /// Puts a value with options of its own.
    pub fn insert_with(&self, key: K, value: V, options: InsertOptions) {
        self.inner.flights.supersede(&key);
        self.inner.insert(key, value, options, None);
    }

    /// The value under `key`, or what `load` gives, which is then stored.
    ///
    /// Of all callers that miss at once, one loads; the others wait for it, at most `timeout`. If
    /// the load fails or panics, its caller gets the error or the panic and one of the others loads
    /// in its place. A value that was put or invalidated under the key meanwhile is not replaced
    /// by what was loaded.
    pub fn get_or_load<E>(
        &self,
        key: &K,
        timeout: Duration,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>> {
        if let Some(value) = self.get(key) {
            return Ok(value);
        }
        flight::load(self, key, timeout, load)
    }

    /// Takes the value under `key` out. What is being loaded under it is not stored.
    pub fn invalidate<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.flights.supersede(key);
        self.inner.remove(key, None, EvictionCause::Invalidated);
    }

    /// Takes out every value that was put with this tag.
    pub fn invalidate_tag(&self, tag: &str) {
        let keys = self.inner.policy.lock().take_tag(tag);
        for key in keys {
            self.invalidate(&key);
        }
    }

    /// Takes everything out.
    pub fn clear(&self) {
        self.inner.flights.supersede_all();
        self.inner.evict_to(0, EvictionCause::Invalidated);
    }

    /// Evicts until at most `fraction` (0 to 1) of the capacity is in use, as memory pressure asks.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a fraction of a weight is a rough figure, clamped to its range"
    )]
    pub fn shrink_to(&self, fraction: f64) {
        let target = (self.inner.capacity as f64 * fraction.clamp(0.0, 1.0)) as u64;
        self.inner.evict_to(target, EvictionCause::Shrunk);
    }

    /// Number of entries, expired ones that were not swept yet included.
    pub fn len(&self) -> usize {
        self.inner.map.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.inner.map.is_empty()
    }

    /// Weight of all entries; never above the capacity.
    pub fn weight(&self) -> u64 {
        self.inner.policy.lock().weight()
    }

    /// What the cache has done so far.
    pub fn stats(&self) -> CacheStats {
        let (weight, ghosts) = {
            let policy = self.inner.policy.lock();
            (policy.weight(), policy.ghosts())
        };
        self.inner.counters.snapshot(self.len(), weight, self.inner.capacity, ghosts)
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Inner<K, V> {
    /// The value under `key` without counting a read.
    fn peek(&self, key: &K) -> Option<V> {
        let entry = self.map.get(key).map(|found| Arc::clone(found.value()))?;
        let expired = entry.is_expired(self.clock.monotonic(), self.idle);
        (!expired).then(|| entry.value.clone())
    }

    /// Puts a value, unless `superseded` says that a newer one was put or the key invalidated.
    ///
    /// Whoever supersedes a load sets the flag first and changes the map under the policy lock
    /// afterwards. So either the flag is seen here under that lock, or that change comes later and
    /// undoes this one.
    fn insert(&self, key: K, value: V, options: InsertOptions, superseded: Option<&AtomicBool>) {
        let weight = self.weigher.as_ref().map_or(1, |weigher| weigher(&key, &value));
        if weight > (self.capacity / 8).max(1) {
            self.counters.refused.fetch_add(1, Ordering::Relaxed);
            self.remove(&key, None, EvictionCause::Replaced);
            return;
        }
        let now = self.clock.monotonic();
        let expires = options.ttl.or(self.ttl).map(|ttl| now + ttl);
        let hash = self.hasher.hash_one(&key);
        let mut gone = Vec::new();
        {
            let mut policy = self.policy.lock();
            if superseded.is_some_and(|flag| flag.load(Ordering::Acquire)) {
                return;
            }
            let generation = policy.next_generation();
            let queue = policy.admit(hash);
            let entry = Arc::new(Entry::new(value, weight, generation, expires, now, queue));
            if let Some(old) = self.map.insert(key.clone(), Arc::clone(&entry)) {
                policy.forget(&key, &old);
                gone.push((key.clone(), old, EvictionCause::Replaced));
            }
            policy.add(key, hash, &entry, options.tag);
            self.sweep(&mut policy, now, &mut gone);
            self.evict(&mut policy, self.capacity, EvictionCause::Capacity, &mut gone);
        }
        self.counters.inserts.fetch_add(1, Ordering::Relaxed);
        self.dismiss(gone);
    }

    /// Removes the entry under `key`; with `only`, only if it still is that one.
    fn remove<Q>(&self, key: &Q, only: Option<&Arc<Entry<V>>>, cause: EvictionCause)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let removed = {
            let mut policy = self.policy.lock();
            let removed = self
                .map
                .remove_if(key, |_, entry| only.is_none_or(|only| Arc::ptr_eq(entry, only)));
            if let Some((key, entry)) = &removed {
                policy.forget(key, entry);
            }
            removed
        };
        if let Some((key, entry)) = removed {
            self.dismiss(vec![(key, entry, cause)]);
        }
    }

    fn evict_to(&self, target: u64, cause: EvictionCause) {
        let mut gone = Vec::new();
        self.evict(&mut self.policy.lock(), target, cause, &mut gone);
        self.dismiss(gone);
    }

    /// Takes victims out until the weight is at most `target`.
    fn evict(
        &self,
        policy: &mut Policy<K>,
        target: u64,
        cause: EvictionCause,
        gone: &mut Vec<(K, Arc<Entry<V>>, EvictionCause)>,
    ) {
        while policy.weight() > target {
            let lookup = |key: &K| self.map.get(key).map(|found| Arc::clone(found.value()));
            let Some(Victim { key, entry }) = policy.victim(lookup) else { break };
            self.map.remove(&key);
            policy.forget(&key, &entry);
            gone.push((key, entry, cause));
        }
    }

    /// Takes a bounded number of expired entries out.
    fn sweep(
        &self,
        policy: &mut Policy<K>,
        now: Duration,
        gone: &mut Vec<(K, Arc<Entry<V>>, EvictionCause)>,
    ) {
        for _ in 0..SWEEP_PER_WRITE {
            let Some(key) = policy.first_expired(now) else { return };
            let Some((key, entry)) = self.map.remove(&key) else { continue };
            policy.forget(&key, &entry);
            gone.push((key, entry, EvictionCause::Expired));
        }
    }

    /// Counts what has gone, tells the listener, and drops it, outside all locks.
    fn dismiss(&self, gone: Vec<(K, Arc<Entry<V>>, EvictionCause)>) {
        for (key, entry, cause) in gone {
            self.counters.count_eviction(cause);
            if let Some(listener) = &self.listener {
                listener(&key, &entry.value, cause);
            }
        }
    }
}
