//! mini-moka, its cache for threads: moka's logs and policy around dashmap.

use mini_moka::sync::Cache;

use super::super::entries::Entries;
use crate::error::AnyError;

/// A cache without expiry.
pub(crate) struct MiniMoka(Cache<u64, u64>);

impl Entries for MiniMoka {
    fn with_capacity(capacity: usize) -> Result<Self, AnyError> {
        Ok(Self(Cache::new(u64::try_from(capacity)?)))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key)
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    fn count(&self) -> usize {
        // `entry_count` knows only of what was applied from the logs.
        self.0.iter().count()
    }
}
