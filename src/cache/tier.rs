//! A second tier below the memory: slower, larger, and there after a restart.

use std::error::Error;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use super::{Cache, LoadError, LoadOptions};

/// Locks over the tier, shared by keys.
const TURNS: u64 = 256;

/// A tier refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("the second tier cannot {operation}")]
pub struct TierError {
    /// `read`, `write` or `remove`.
    pub operation: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Keeps values under keys, typically on disk. Where entries must expire, it sees to that itself.
pub trait Tier<K, V>: Send + Sync {
    /// The value under `key`, if it has one.
    fn get(&self, key: &K) -> Result<Option<V>, TierError>;

    /// Keeps `value` under `key`.
    fn put(&self, key: &K, value: &V) -> Result<(), TierError>;

    /// Forgets what is under `key`.
    fn remove(&self, key: &K) -> Result<(), TierError>;
}

/// What a second tier has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TierStats {
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Calls that failed.
    pub failures: u64,
}

/// A [`Cache`] over a [`Tier`]: reads ask the memory and then the tier, and keep in memory what the
/// tier had; writes go to both.
///
/// The tier is asked outside the memory's locks, by one caller a key at a time; it must not use the
/// cache that it stands under. A tier that fails costs hits, not calls: its failures are counted and logged, and else as good as
/// nothing found.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use dashmap::DashMap;
/// use gristmill::cache::{Cache, Tier, TierError, Tiered};
///
/// /// Stands for a database.
/// #[derive(Default)]
/// struct Shelf(DashMap<u32, String>);
///
/// impl Tier<u32, String> for Shelf {
///     fn get(&self, key: &u32) -> Result<Option<String>, TierError> {
///         Ok(self.0.get(key).map(|found| found.clone()))
///     }
///     fn put(&self, key: &u32, value: &String) -> Result<(), TierError> {
///         self.0.insert(*key, value.clone());
///         Ok(())
///     }
///     fn remove(&self, key: &u32) -> Result<(), TierError> {
///         self.0.remove(key);
///         Ok(())
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let shelf = Arc::new(Shelf::default());
/// let before = Tiered::new(Cache::builder().build()?, shelf.clone());
/// before.insert(1, "one".to_owned());
/// let after_a_restart = Tiered::new(Cache::builder().build()?, shelf);
/// assert_eq!(after_a_restart.get(&1), Some("one".to_owned()));
/// # Ok(())
/// # }
/// ```
pub struct Tiered<K, V> {
    memory: Cache<K, V>,
    tier: Arc<dyn Tier<K, V>>,
    turns: Arc<[Mutex<()>]>,
    counters: Arc<Counters>,
}

/// None of them orders anything, so all accesses are relaxed.
#[derive(Debug, Default)]
struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    failures: AtomicU64,
}

impl<K, V> Clone for Tiered<K, V> {
    fn clone(&self) -> Self {
        let (tier, counters) = (Arc::clone(&self.tier), Arc::clone(&self.counters));
        Self { memory: self.memory.clone(), tier, turns: Arc::clone(&self.turns), counters }
    }
}

impl<K, V> fmt::Debug for Tiered<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiered").field("memory", &self.memory).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Tiered<K, V> {
    /// A cache over a tier.
    pub fn new(memory: Cache<K, V>, tier: Arc<dyn Tier<K, V>>) -> Self {
        let turns = (0..TURNS).map(|_| Mutex::default()).collect();
        Self { memory, tier, turns, counters: Arc::default() }
    }

    /// The memory alone.
    pub fn memory(&self) -> &Cache<K, V> {
        &self.memory
    }

    /// The value under `key`. What only the tier has is kept in memory.
    pub fn get(&self, key: &K) -> Option<V> {
        if let Some(value) = self.memory.get(key) {
            return Some(value);
        }
        let _turn = self.turn(key);
        let value = self.read(key)?;
        self.memory.insert(key.clone(), value.clone());
        Some(value)
    }

    /// The value under `key`, or what `load` gives, which both then have. See
    /// [`Cache::get_or_load`]; one of those who miss asks the tier, and then loads.
    pub fn get_or_load<'a, E>(
        &self,
        key: &K,
        options: impl Into<LoadOptions<'a>>,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>> {
        self.memory.load_present(key, &options.into(), |approach| {
            let known = {
                let _turn = self.turn(key);
                self.read(key)
            };
            if let Some(value) = known {
                return Ok(value);
            }
            let value = load()?;
            let _turn = self.turn(key);
            if approach.is_current() {
                self.note(self.tier.put(key, &value));
            }
            Ok(value)
        })
    }

    /// Puts a value in both.
    pub fn insert(&self, key: K, value: V) {
        let _turn = self.turn(&key);
        // The tier first: a load that has read the old value there is superseded in memory then.
        self.note(self.tier.put(&key, &value));
        self.memory.insert(key, value);
    }

    /// Takes the value under `key` out of both.
    pub fn invalidate(&self, key: &K) {
        let _turn = self.turn(key);
        self.note(self.tier.remove(key));
        self.memory.invalidate(key);
    }

    /// Keeps others from changing the tier under this key, so that tier and memory change in the
    /// same order.
    fn turn(&self, key: &K) -> MutexGuard<'_, ()> {
        let turn = self.memory.inner.table.hash(key) % TURNS;
        self.turns[usize::try_from(turn).unwrap_or(0)].lock()
    }

    /// What the tier has done; [`memory`](Self::memory) has figures of its own.
    pub fn tier_stats(&self) -> TierStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counters { hits, misses, failures } = &*self.counters;
        TierStats { hits: of(hits), misses: of(misses), failures: of(failures) }
    }

    fn read(&self, key: &K) -> Option<V> {
        let found = self.tier.get(key);
        match &found {
            Ok(Some(_)) => self.counters.hits.fetch_add(1, Ordering::Relaxed),
            Ok(None) => self.counters.misses.fetch_add(1, Ordering::Relaxed),
            Err(_) => 0,
        };
        self.note(found).flatten()
    }

    /// What a call of the tier gave; failures are counted and logged.
    fn note<T>(&self, result: Result<T, TierError>) -> Option<T> {
        let noted = result.inspect_err(|error| {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(error = error as &dyn Error, "second tier of a cache");
        });
        noted.ok()
    }
}
