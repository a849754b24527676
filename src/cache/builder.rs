//! Setting a cache up.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use dashmap::DashMap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;

use super::flight::Flights;
use super::policy::Policy;
use super::stats::Counters;
use super::{Cache, EvictionCause, Inner, Listener, Weigher};
use crate::time::{SharedClock, SystemClock};

/// Shards of the map unless set.
const SHARDS: usize = 16;

/// Options of a [`Cache`]. Made by [`Cache::builder`].
pub struct CacheBuilder<K, V> {
    capacity: u64,
    ttl: Option<Duration>,
    idle: Option<Duration>,
    shards: usize,
    clock: Option<SharedClock>,
    weigher: Option<Box<Weigher<K, V>>>,
    listener: Option<Box<Listener<K, V>>>,
}

impl<K, V> fmt::Debug for CacheBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder").field("capacity", &self.capacity).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> CacheBuilder<K, V> {
    pub(super) fn new() -> Self {
        Self {
            capacity: 1024,
            ttl: None,
            idle: None,
            shards: SHARDS,
            clock: None,
            weigher: None,
            listener: None,
        }
    }

    /// Largest total weight. Default 1,024.
    #[must_use]
    pub fn capacity(mut self, weight: u64) -> Self {
        self.capacity = weight;
        self
    }

    /// Gives the weight of an entry. Default: 1, so that the capacity is a number of entries.
    #[must_use]
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static) -> Self {
        self.weigher = Some(Box::new(weigher));
        self
    }

    /// How long an entry lives after it was put. Default: for ever.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long an entry lives after it was last read or put. Default: for ever.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Shards of the map, rounded up to a power of two from 2 to 1,024. Default 16.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = shards;
        self
    }

    /// The source of time. Default: the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Is told of every entry that leaves, after it has left, on the thread that caused it. It may
    /// call back into the cache.
    #[must_use]
    pub fn listener(
        mut self,
        listener: impl Fn(&K, &V, EvictionCause) + Send + Sync + 'static,
    ) -> Self {
        self.listener = Some(Box::new(listener));
        self
    }

    /// Makes the cache.
    pub fn build(self) -> Cache<K, V> {
        let hasher = RandomState::default();
        let shards = self.shards.clamp(2, 1024).next_power_of_two();
        Cache {
            inner: Arc::new(Inner {
                map: DashMap::with_hasher_and_shard_amount(hasher.clone(), shards),
                hasher,
                policy: Mutex::new(Policy::new(self.capacity)),
                flights: Flights::default(),
                counters: Counters::default(),
                clock: self.clock.unwrap_or_else(SystemClock::shared),
                capacity: self.capacity,
                ttl: self.ttl,
                idle: self.idle,
                weigher: self.weigher,
                listener: self.listener,
            }),
        }
    }
}
