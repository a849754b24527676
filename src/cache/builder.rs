//! The settings of a cache.

use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::inner::{Inner, Settings};
use super::{Cache, EvictionCause, Listener};
use crate::time::{SharedClock, SystemClock};

/// Default number of map shards: for caches that expect fewer entries than [`MANY`], and for larger
/// ones.
const DEFAULT_SHARDS: usize = 16;
const LARGE_CACHE_SHARDS: usize = 64;
const LARGE_CACHE_ENTRIES: u64 = 65_536;
/// Most map shards.
const MAX_SHARDS: usize = 1024;
/// A policy shard expects at least this many entries. With fewer, its queues would be too short to
/// tell entries that are read again from those that are not.
const MIN_ENTRIES_PER_POLICY_SHARD: u64 = 4096;
/// Most policy shards.
const MAX_POLICY_SHARDS: u64 = 64;

/// Why the settings make no cache.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The jitter is not a fraction.
    #[error("the jitter must be from 0 to 1, and is {jitter}")]
    Jitter {
        /// What was given.
        jitter: f64,
    },
    /// No shards, or more than 1,024.
    #[error("the number of shards must be from 1 to 1024, and is {shards}")]
    Shards {
        /// What was given.
        shards: usize,
    },
    /// Values that never expire cannot be stale.
    #[error("a window for stale values needs a time to live")]
    StaleWithoutTtl,
}

/// The settings of a [`Cache`], from [`Cache::builder`].
///
/// Times are measured in whole milliseconds and may be any length; weights are in whatever unit the
/// weigher counts. [`build`](Self::build) refuses settings that contradict each other.
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

    /// Largest total weight of all entries, in the weigher's unit. 0 makes a cache that refuses
    /// everything. Default: 1,024.
    #[must_use]
    pub fn capacity(mut self, weight: u64) -> Self {
        self.settings.capacity = weight;
        self
    }

    /// The weight of an entry; 0 counts as 1. It is computed once, at the insertion. Default: 1, so
    /// that the capacity is a number of entries.
    #[must_use]
    pub fn weigher(mut self, weigher: impl Fn(&K, &V) -> u64 + Send + Sync + 'static) -> Self {
        self.settings.weigher = Some(Box::new(weigher));
        self
    }

    /// How many entries to expect when the cache is full. A cache that expects more has more locks.
    /// Default: the capacity without a weigher; with one, few, so set it where entries are many.
    #[must_use]
    pub fn expected_entries(mut self, entries: u64) -> Self {
        self.entries = Some(entries);
        self
    }

    /// How long an entry lives after its insertion. Default: no limit.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.settings.ttl = Some(ttl);
        self
    }

    /// How long an entry lives after its last read, or its insertion. Default: no limit.
    #[must_use]
    pub fn idle(mut self, idle: Duration) -> Self {
        self.settings.idle = Some(idle);
        self
    }

    /// How long a value past its time to live still serves other callers while one reloads it, and
    /// serves that one too if its load fails (stale-while-revalidate and stale-if-error of RFC
    /// 5861). Needs a time to live. Default: zero, no stale values.
    #[must_use]
    pub fn stale_while_revalidate(mut self, window: Duration) -> Self {
        self.settings.stale = window;
        self
    }

    /// How long a known absence is remembered. Default: the time to live of values.
    #[must_use]
    pub fn negative_ttl(mut self, ttl: Duration) -> Self {
        self.settings.negative_ttl = Some(ttl);
        self
    }

    /// The weight of a known absence; 0 counts as 1. Default: 1.
    #[must_use]
    pub fn negative_weight(mut self, weight: u64) -> Self {
        self.settings.negative_weight = weight.max(1);
        self
    }

    /// Shortens each time to live at random by up to this fraction of it, so that entries inserted
    /// together do not all expire together. From 0 to 1. Default: 0.
    #[must_use]
    pub fn jitter(mut self, fraction: f64) -> Self {
        self.settings.jitter = fraction;
        self
    }

    /// Number of map shards, from 1 to 1,024, rounded up to a power of two and to at least 2.
    /// Default: 16, or 64 for 65,536 expected entries or more.
    #[must_use]
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// The source of time; the cache uses its coarse reading. Default: the system clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.settings.clock = clock;
        self
    }

    /// Called with every value that is removed, once it is out of the cache, on the thread that
    /// caused the removal and with no lock held, so it may use the cache. A panic of the listener
    /// reaches that thread's caller; the cache stays consistent, but the listener misses the other
    /// values removed by the same call. Default: none.
    #[must_use]
    pub fn listener(
        mut self,
        listener: impl Fn(&K, &V, EvictionCause) + Send + Sync + 'static,
    ) -> Self {
        self.settings.listener = Some(Box::new(listener) as Box<Listener<K, V>>);
        self
    }

    /// Makes the cache.
    ///
    /// # Errors
    ///
    /// If the jitter is not from 0 to 1, the number of shards is not from 1 to 1,024, or there is a
    /// window for stale values without a time to live.
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
