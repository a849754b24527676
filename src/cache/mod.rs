//! A bounded cache: strict weight, expiry, single-flight loading, and a policy that adapts.
//!
//! ```
//! use std::time::Duration;
//! use gristmill::cache::Cache;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let pages: Cache<String, String> = Cache::builder()
//!     .capacity(1 << 20)
//!     .weigher(|url: &String, body: &String| (url.len() + body.len()) as u64)
//!     .ttl(Duration::from_secs(60))
//!     .build()?;
//! let page = pages.get_or_load(&"a".to_owned(), Duration::from_secs(5), || {
//!     Ok::<_, std::io::Error>("A".to_owned())
//! })?;
//! assert_eq!(page, "A");
//! assert_eq!(pages.get("a"), Some("A".to_owned()));
//! # Ok(())
//! # }
//! ```
//!
//! # What it holds to
//!
//! - **Weight.** When `insert` has returned, all entries together weigh no more than the capacity.
//!   An entry heavier than an eighth of it is refused, and counted.
//! - **Time.** No read returns an expired entry, by the clock's coarse reading, which on Linux is
//!   up to 10 ms late. Writes and [`Cache::sweep`] remove expired entries, a bounded number at a
//!   time, and when space is needed they go before live ones.
//! - **Loads.** Of concurrent [`Cache::get_or_load`] calls for a key, one loads. A load never
//!   replaces a value that was inserted, or undoes an invalidation that was made, after it began.
//! - **Locks.** A hit takes the read lock of one map shard. A write takes the lock of a policy
//!   shard, then of a map shard. Values are dropped, and listeners, weighers and loaders run,
//!   outside of both. `Hash`, `Eq` and `Clone` of keys and `Clone` of values run inside, so these
//!   must not use the cache.
//!
//! # How it is made
//!
//! - `table` is the map (`dashmap`), with the entries in it.
//! - Each `shard` guards the entries of a part of the hashes with one lock. Behind it are the
//!   `policy` (two queues, `ghosts`, adaptation) over a `slab` of nodes, the timer `wheel`, the
//!   tags, and the loads under way. `guard` is a shard while it is locked, with the entries removed
//!   meanwhile.
//! - `inner` keeps map and shards in step; `eviction` keeps the weight in bounds and sweeps what
//!   has expired; `evictor` is the map as the policy sees it.
//! - `load` and `flight` make a load single-flight.
//! - `tier` is the seam to a slower cache below; `upkeep` is what a program does with all of its
//!   caches alike.
//!
//! `benches/README.md` has the measurements behind it.

mod builder;
#[cfg(test)]
mod check;
mod entry;
mod eviction;
mod evictor;
mod flight;
mod ghosts;
mod guard;
mod inner;
mod load;
mod millis;
#[cfg(test)]
mod model;
mod policy;
mod shard;
mod slab;
mod stats;
mod table;
#[cfg(test)]
mod tests;
mod tier;
mod upkeep;
mod wheel;

use std::borrow::Borrow;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;

pub use builder::{CacheBuilder, CacheError};
pub use entry::{EvictionCause, InsertOptions};
pub use load::{LoadError, LoadOptions, Loaded};
pub use stats::CacheStats;
pub use tier::{Tier, TierError};
pub use upkeep::Upkeep;

use inner::{Inner, Put};

pub(crate) type Weigher<K, V> = dyn Fn(&K, &V) -> u64 + Send + Sync;
pub(crate) type Listener<K, V> = dyn Fn(&K, &V, EvictionCause) + Send + Sync;

/// A bounded, sharded cache. Clones share it. Reads clone the value, so keep large ones in an
/// `Arc`.
pub struct Cache<K, V> {
    inner: Arc<Inner<K, V>>,
}

/// The result of [`Cache::lookup`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup<V> {
    /// A value within its time.
    Fresh(V),
    /// A value past its time to live, within the window for stale values.
    Stale(V),
    /// A known absence: the cache remembers that there is no value.
    Absent,
    /// Nothing is known about the key.
    Missing,
}

/// A count of the writes under a key, for [`Cache::insert_if`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Generation(u32);

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<K, V> fmt::Debug for Cache<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("settings", &self.inner.settings).finish_non_exhaustive()
    }
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// Starts the settings of a cache, all at their defaults.
    pub fn builder() -> CacheBuilder<K, V> {
        CacheBuilder::new()
    }

    /// The value under `key`, if it is present and fresh.
    #[inline]
    pub fn get<Q>(&self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        match self.lookup(key) {
            Lookup::Fresh(value) => Some(value),
            Lookup::Stale(_) | Lookup::Absent | Lookup::Missing => None,
        }
    }

    /// What is known about `key`, stale values and known absences included. A stale value counts as
    /// a miss, since the caller is expected to load a fresh one.
    #[inline]
    pub fn lookup<Q>(&self, key: &Q) -> Lookup<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let found = self.inner.lookup(self.inner.table.hash(key), key);
        self.inner.count(&found);
        found
    }

    /// Inserts a value with the cache's own expiry. A value heavier than an eighth of the capacity
    /// is refused, and counted. An older value under the key is removed in either case.
    pub fn insert(&self, key: K, value: V) {
        self.insert_with(key, value, InsertOptions::default());
    }

    /// Inserts a value with its own expiry and tags.
    pub fn insert_with(&self, key: K, value: V, options: InsertOptions) {
        let hash = self.inner.table.hash(&key);
        self.inner.put(hash, key, Put { value: Some(value), options }, |_, _| true);
    }

    /// Remembers that there is no value under `key`, for the time to live in `options` or else the
    /// negative time to live.
    pub fn insert_absent(&self, key: K, options: InsertOptions) {
        let hash = self.inner.table.hash(&key);
        self.inner.put(hash, key, Put { value: None, options }, |_, _| true);
    }

    /// The current generation of `key`. Read it before a load and pass it to
    /// [`insert_if`](Self::insert_if) afterwards: any write in between then wins over the load.
    pub fn generation<Q>(&self, key: &Q) -> Generation
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.inner.table.hash(key);
        let mut shard = self.inner.shards[self.inner.shard_of(hash)].state.lock();
        Generation(shard.generation(hash))
    }

    /// Inserts a value if nothing was inserted or invalidated under `key` since `generation`, and
    /// returns whether it did. Evictions and expiries do not count. Keys share 4,096 generations in
    /// each shard, so occasionally a value is refused because of a write under another key.
    pub fn insert_if(&self, key: K, value: V, generation: Generation) -> bool {
        let hash = self.inner.table.hash(&key);
        let put = Put { value: Some(value), options: InsertOptions::default() };
        self.inner.put(hash, key, put, |shard, _| shard.generation(hash) == generation.0)
    }

    /// Removes the value, or the known absence, under `key`. A load of the key under way is not
    /// stored, and calls made after this one do not get its value.
    pub fn invalidate<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.remove(self.inner.table.hash(key), key);
    }

    /// Removes every entry with this tag. No load under way is stored, since its tags are not known
    /// yet.
    pub fn invalidate_tag(&self, tag: &str) {
        self.inner.remove_tag(tag);
    }

    /// Removes everything. No load under way is stored.
    pub fn clear(&self) {
        self.inner.clear();
    }

    /// Removes up to `most` expired entries and returns how many it removed. Each write removes a
    /// few as well; this is for caches that see no writes.
    pub fn sweep(&self, most: usize) -> usize {
        self.inner.sweep(most)
    }

    /// Evicts until at most `fraction` (0 to 1) of the capacity is in use, and frees the memory
    /// that the map no longer needs. For memory pressure; the capacity stays as it is.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a fraction of a weight is a rough figure, clamped to its range"
    )]
    pub fn shrink_to(&self, fraction: f64) {
        let target = (self.inner.settings.capacity as f64 * fraction.clamp(0.0, 1.0)) as u64;
        self.inner.shrink(target, EvictionCause::Shrunk);
        self.inner.table.release();
    }

    /// Number of entries, including expired ones that are not swept yet.
    pub fn len(&self) -> usize {
        self.inner.entries()
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Total weight of the entries; at most the capacity once every insertion has returned.
    pub fn weight(&self) -> u64 {
        self.inner.weight()
    }

    /// Counters since the cache was made, and what it holds now. Locks the policy shards one by
    /// one.
    pub fn stats(&self) -> CacheStats {
        self.inner.stats()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// The value under `key`, or else what `load` returns, which is then stored.
    ///
    /// Of concurrent callers that miss, one loads, on its own thread. The others wait for it, each
    /// as long as its [`LoadOptions`] allow (a plain `Duration` works too). If the load fails or
    /// panics, its caller gets the error or the panic, and one of the waiters loads in its place.
    ///
    /// Within the window for stale values, one caller loads and the others get the stale value at
    /// once. If the load fails, its caller gets the stale value too.
    ///
    /// A known absence ([`Lookup::Absent`]) counts as a miss here, and the loader runs. Use
    /// [`get_or_load_with`](Self::get_or_load_with) to have it respected.
    pub fn get_or_load<'a, E>(
        &self,
        key: &K,
        options: impl Into<LoadOptions<'a>>,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>> {
        let load = || load().map(Loaded::value);
        let loaded = self.inner.get_or_load(key, &options.into(), false, load)?;
        Ok(loaded.expect("invariant: an absence is returned only where it is accepted"))
    }

    /// Like [`get_or_load`](Self::get_or_load), for loaders that may find that there is no value,
    /// or that set the expiry and tags of what they load. `Ok(None)` is a known absence.
    pub fn get_or_load_with<'a, E>(
        &self,
        key: &K,
        options: impl Into<LoadOptions<'a>>,
        load: impl FnOnce() -> Result<Loaded<V>, E>,
    ) -> Result<Option<V>, LoadError<E>> {
        self.inner.get_or_load(key, &options.into(), true, load)
    }
}
