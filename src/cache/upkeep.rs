//! What a program does with all of its caches alike.

use std::fmt;
use std::hash::Hash;

use super::{Cache, CacheStats};

/// A cache with its key and value types hidden: its counters and its memory.
///
/// A component with a cache inside can expose it as this. The program then visits all of its caches
/// periodically, and shrinks them when memory runs short.
///
/// ```
/// use gristmill::cache::{Cache, Upkeep};
///
/// let numbers: Cache<String, u64> = Cache::builder().capacity(1000).build()?;
/// let texts: Cache<u64, String> = Cache::builder().capacity(1000).build()?;
/// numbers.insert("one".to_owned(), 1);
///
/// let caches: [(&str, &dyn Upkeep); 2] = [("numbers", &numbers), ("texts", &texts)];
/// for (name, cache) in caches {
///     let swept = cache.sweep(100);
///     println!("{name}: {swept} expired, {} left", cache.stats().entries);
/// }
/// # Ok::<(), gristmill::cache::CacheError>(())
/// ```
pub trait Upkeep: Send + Sync + fmt::Debug {
    /// Counters since the cache was made, and what it holds now.
    fn stats(&self) -> CacheStats;

    /// Removes up to `most` expired entries and returns how many. See [`Cache::sweep`].
    fn sweep(&self, most: usize) -> usize;

    /// Evicts until at most `fraction` (0 to 1) of the capacity is in use. See
    /// [`Cache::shrink_to`].
    fn shrink_to(&self, fraction: f64);
}

impl<K, V> Upkeep for Cache<K, V>
where
    K: Hash + Eq + Clone + Send + Sync,
    V: Clone + Send + Sync,
{
    fn stats(&self) -> CacheStats {
        Self::stats(self)
    }

    fn sweep(&self, most: usize) -> usize {
        Self::sweep(self, most)
    }

    fn shrink_to(&self, fraction: f64) {
        Self::shrink_to(self, fraction);
    }
}
