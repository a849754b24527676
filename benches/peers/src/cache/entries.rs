//! What a cache must be able to do to be measured.

use crate::error::AnyError;

/// A cache of numbers as the measurements see it.
pub(crate) trait Entries: Sized + Sync {
    /// An empty cache for that many entries.
    fn with_capacity(capacity: usize) -> Result<Self, AnyError>;

    /// The value under `key`.
    fn get(&self, key: u64) -> Option<u64>;

    /// Puts a value.
    fn insert(&self, key: u64, value: u64);

    /// Entries that it holds, those included that it has yet to evict.
    fn count(&self) -> usize;

    /// What all measurements but plain reads do with a key: `get`, else `insert`. Whether it was
    /// there.
    fn get_or_insert(&self, key: u64) -> bool {
        let found = self.get(key).is_some();
        if !found {
            self.insert(key, key);
        }
        found
    }
}
