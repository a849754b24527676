//! Setting a cache up.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::inner::{Inner, Settings};
use super::{Cache, EvictionCause, Listener};
use crate::time::{SharedClock, SystemClock};

/// Shards of the map unless set: for caches that expect fewer entries than [`MANY`], and for larger
/// ones.
const DEFAULT_SHARDS: usize = 16;
const LARGE_CACHE_SHARDS: usize = 64;
const LARGE_CACHE_ENTRIES: u64 = 65_536;
/// Most shards of the map.
const MAX_SHARDS: usize = 1024;
/// Entries that one shard of the policy has at least: fewer would make each queue too short to tell
/// good entries from bad ones.
const MIN_ENTRIES_PER_POLICY_SHARD: u64 = 4096;
/// Most shards of the policy.
const MAX_POLICY_SHARDS: u64 = 64;

/// A cache cannot be made as it was set up.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The jitter is not a fraction.
    #[error("the jitter must be from 0 to 1, and is {jitter}")]
    Jitter {
        /// What was given.
        jitter: f64,
    },
    /// There are no shards, or too many.
    #[error("the number of shards must be from 1 to 1024, and is {shards}")]
    Shards {
        /// What was given.
        shards: usize,
    },
    /// Values that never expire cannot be stale.
    #[error("a window for stale values needs a time to live")]
    StaleWithoutTtl,
}

/// Options of a [`Cache`]. Made by [`Cache::builder`].
pub struct CacheBuilder<K, V> {
    settings: Settings<K, V>,
    entries: Option<u64>,
    shards: Option<usize>,
}

impl<K, V> fmt::Debug for CacheBuilder<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheBuilder").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq, V: Clone> CacheBuilder<K, V> {
    pub(super) fn new() -> Self {
        let settings = Settings {
            capacity: 1024,
            ttl: None,
            idle: None,
            stale: Duration::ZERO,
            negative_ttl: None,
            negative_weight: 1,
            jitter: 0.0,
            clock: SystemClock::shared(),
            weigher: None,
            listener: None,
        };
        Self { settings, entries: None, shards: None }
    }

    /// Largest total weight. 0 makes a cache that refuses everything. Default 1,024.
    #[must_use]
    pub fn capacity(mut self, weight: u64) -> Self {
        self.settings.capacity = weight;
        self
    }

    /// Gives the weight of an entry; 0 counts as 1. Default: 1, so that the capacity is a number of
    /// entries.
    #[must_use]
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static) -> Self {
        self.settings.weigher = Some(Box::new(weigher));
        self
    }

    /// How many entries to expect when it is full. Larger caches have more locks. Default: the
    /// capacity without a weigher, and few with one.
    #[must_use]
    pub fn expected_entries(mut self, entries: u64) -> Self {
        self.entries = Some(entries);
        self
    }

    /// How long an entry lives after it was put. Default: for ever.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = Some(ttl);
        self
    }

    /// How long an entry lives after it was last read or put. Default: for ever.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.settings.idle = Some(idle);
        self
    }

    /// How long after its time to live a value is still given to others while one caller loads it
    /// anew, and to that one if its load fails (RFC 5861 calls this stale-while-revalidate and
    /// stale-if-error). Needs a time to live. Default: not at all.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.settings.stale = window;
        self
    }

    /// How long it is remembered that there is no value. Default: as long as values live.
    #[must_use]
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.settings.negative_ttl = Some(ttl);
        self
    }

    /// What it weighs to remember that there is no value; 0 counts as 1. Default 1.
    #[must_use]
    pub fn negative_weight(mut self, weight: u64) -> Self {
        self.settings.negative_weight = weight.max(1);
        self
    }

    /// By how much of it, at most, each time to live is shortened at random, so that what was put
    /// together does not expire together. From 0 to 1; default 0.
    #[must_use]
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.settings.jitter = fraction;
        self
    }

    /// Shards of the map, rounded up to a power of two, at least 2 and at most 1,024. Default 16,
    /// and 64 for 65,536 expected entries or more.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// The source of time; its coarse reading is used. Default: the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Is told of every value that leaves, after it has left, on the thread that caused it and
    /// outside all locks. It may call back into the cache. If it panics, the caller gets the panic;
    /// the cache is whole, but values that left in the same call are not told of.
    #[must_use]
    pub fn listener(
        mut self,
        listener: impl Fn(&K, &V, EvictionCause) + Send + Sync + 'static,
    ) -> Self {
        self.settings.listener = Some(Box::new(listener) as Box<Listener<K, V>>);
        self
    }

    /// Makes the cache.
    pub fn build(self) -> Result<Cache<K, V>, CacheError> {
        let Self { settings, entries, shards } = self;
        let jitter = settings.jitter;
        if !(0.0..=1.0).contains(&jitter) {
            return Err(CacheError::Jitter { jitter });
        }
        if settings.stale > Duration::ZERO && settings.ttl.is_none() {
            return Err(CacheError::StaleWithoutTtl);
        }
        let entries = match (entries, &settings.weigher) {
            (Some(entries), _) => entries,
            (None, None) => settings.capacity,
            (None, Some(_)) => 0,
        };
        let shards = shards.unwrap_or(if entries < LARGE_CACHE_ENTRIES {
            DEFAULT_SHARDS
        } else {
            LARGE_CACHE_SHARDS
        });
        if !(1..=MAX_SHARDS).contains(&shards) {
            return Err(CacheError::Shards { shards });
        }
        let shards = shards.next_power_of_two().max(2);
        let policies =
            (entries / MIN_ENTRIES_PER_POLICY_SHARD).clamp(1, MAX_POLICY_SHARDS.min(shards as u64));
        Ok(Cache { inner: Arc::new(Inner::new(settings, shards, policies.ilog2())) })
    }
}
