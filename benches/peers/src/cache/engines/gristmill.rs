//! gristmill's cache, as it is built by default, with a time to live.

use gristmill::cache::Cache;

use super::super::entries::Entries;
use super::TTL;
use crate::error::AnyError;

/// A cache that checks expiry on every read and counts hits and misses.
pub(crate) struct Gristmill(Cache<u64, u64>);

impl Entries for Gristmill {
    fn with_capacity(capacity: usize) -> Result<Self, AnyError> {
        Ok(Self(Cache::builder().capacity(u64::try_from(capacity)?).ttl(TTL).build()?))
    }

    fn get(&self, key: u64) -> Option<u64> {
        self.0.get(&key)
    }

    fn insert(&self, key: u64, value: u64) {
        self.0.insert(key, value);
    }

    fn count(&self) -> usize {
        self.0.len()
    }
}
