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
//! - **Time.** No read gives what has expired, by the clock's coarse reading: on Linux that is up to
//!   10 ms late. Expired entries are swept by writes and by [`Cache::sweep`], a bounded number at a
//!   time, and go before live ones when room is needed.
//! - **Loads.** Of all who ask [`Cache::get_or_load`] for a key at once, one loads. What was put or
//!   invalidated after a load began is not replaced by it.
//! - **Locks.** A hit takes the read lock of one shard of the map. A write takes a lock of the policy
//!   and then of the map. Values are dropped, and listeners, weighers and loaders run, outside of
//!   both. `Hash`, `Eq` and `Clone` of keys and `Clone` of values run inside, so these must not use
//!   the cache.
//!
//! # How it is made
//!
//! - `table` is the map (`dashmap`), with the entries in it.
//! - Each `shard` guards the entries of a part of the hashes with one lock. Behind it are the `policy`
//!   (two queues, `ghosts`, adaptation) over a `slab` of nodes, the timer `wheel`, the tags, and the
//!   loads under way. `guard` is a shard while it is locked, with the entries removed meanwhile.
//! - `inner` keeps map and shards in step; `eviction` keeps the weight in bounds and sweeps what has
//!   expired; `evictor` is the map as the policy sees it.
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

/// A bounded, sharded cache. Clones share it. Values are cloned out, so keep large ones in an
/// `Arc`.
pub struct Cache<K, V> {
    inner: Arc<Inner<K, V>>,
}

/// What a cache has under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lookup<V> {
    /// A value within its time.
    Fresh(V),
    /// A value past its time to live, within the window for stale values.
    Stale(V),
    /// The word that there is no value.
    Absent,
    /// Nothing.
    Missing,
}

/// How often something was written under a key, for [`Cache::insert_if`].
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
    /// Begins to set a cache up.
    pub fn builder() -> CacheBuilder<K, V> {
        CacheBuilder::new()
    }

    /// The value under `key`, if it is there and fresh.
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

    /// What is under `key`, stale values and the word that there is none included. A stale value
    /// counts as a miss: the caller is expected to bring a fresh one.
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

    /// Puts a value with the cache's own expiry. Refused, and counted, if it is heavier than an
    /// eighth of the capacity; an older value under the key goes in any case.
    pub fn insert(&self, key: K, value: V) {
        self.insert_with(key, value, InsertOptions::default());
    }

    /// Puts a value with options of its own.
    pub fn insert_with(&self, key: K, value: V, options: InsertOptions) {
        let hash = self.inner.table.hash(&key);
        self.inner.put(hash, key, Put { value: Some(value), options }, |_, _| true);
    }

    /// Remembers that there is no value under `key`, for the negative time to live or that of the
    /// options.
    pub fn insert_absent(&self, key: K, options: InsertOptions) {
        let hash = self.inner.table.hash(&key);
        self.inner.put(hash, key, Put { value: None, options }, |_, _| true);
    }

    /// The generation of `key` now. A loader that asks before it begins, and puts what it brings
    /// with [`insert_if`](Self::insert_if), loses against all who wrote since.
    pub fn generation<Q>(&self, key: &Q) -> Generation
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let hash = self.inner.table.hash(key);
        let mut shard = self.inner.shards[self.inner.shard_of(hash)].state.lock();
        Generation(shard.generation(hash))
    }

    /// Puts a value if nothing was put or invalidated under `key` since `generation`; gives whether
    /// it did. What leaves by itself does not count. Keys share 4,096 generations in each shard, so
    /// now and then a value is refused for a write under another key.
    pub fn insert_if(&self, key: K, value: V, generation: Generation) -> bool {
        let hash = self.inner.table.hash(&key);
        let put = Put { value: Some(value), options: InsertOptions::default() };
        self.inner.put(hash, key, put, |shard, _| shard.generation(hash) == generation.0)
    }

    /// Takes the value under `key` out, or the word that there is none. What is being loaded under it
    /// is not stored, and who asks from now on does not get it.
    pub fn invalidate<Q>(&self, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.inner.remove(self.inner.table.hash(key), key);
    }

    /// Takes out every value that was put with this tag. Nothing that is being loaded is stored.
    pub fn invalidate_tag(&self, tag: &str) {
        self.inner.remove_tag(tag);
    }

    /// Takes everything out. Nothing that is being loaded is stored.
    pub fn clear(&self) {
        self.inner.clear();
    }

    /// Takes out up to `most` expired entries; how many it was. Writes do this by themselves, a few
    /// each: this is for caches that nobody writes to.
    pub fn sweep(&self, most: usize) -> usize {
        self.inner.sweep(most)
    }

    /// Evicts until at most `fraction` (0 to 1) of the capacity is in use, as memory pressure asks,
    /// and gives back what the map needs no longer. The capacity stays.
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

    /// Number of entries, expired ones that were not swept yet included.
    pub fn len(&self) -> usize {
        self.inner.entries()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Weight of all entries; never above the capacity.
    pub fn weight(&self) -> u64 {
        self.inner.weight()
    }

    /// What the cache has done so far. Takes the locks of the policy, one after the other.
    pub fn stats(&self) -> CacheStats {
        self.inner.stats()
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// The value under `key`, or what `load` gives, which is then stored.
    ///
    /// Of all callers that miss at once, one loads, on its own thread; the others wait for it, each
    /// as long as its [`LoadOptions`] say (a `Duration` will do). If the load fails or panics, its
    /// caller gets the error or the panic and one of the others loads in its place.
    ///
    /// In the window for stale values, one caller loads and the others get the stale value at once.
    /// That one gets it too if its load fails.
    ///
    /// The word that there is no value ([`Lookup::Absent`]) is no value: the loader is asked again.
    /// Use [`get_or_load_with`](Self::get_or_load_with) to have it respected.
    pub fn get_or_load<'a, E>(
        &self,
        key: &K,
        options: impl Into<LoadOptions<'a>>,
        load: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, LoadError<E>> {
        let load = || load().map(Loaded::value);
        let loaded = self.inner.get_or_load(key, &options.into(), false, load)?;
        Ok(loaded.expect("invariant: absence is no answer unless asked for"))
    }

    /// The same for loaders that may find that there is no value, or that tell how to keep it.
    pub fn get_or_load_with<'a, E>(
        &self,
        key: &K,
        options: impl Into<LoadOptions<'a>>,
        load: impl FnOnce() -> Result<Loaded<V>, E>,
    ) -> Result<Option<V>, LoadError<E>> {
        self.inner.get_or_load(key, &options.into(), true, load)
    }
}
