//! moka, its cache for threads: changes go through logs that are applied in batches, by the thread
//! that fills one.

use moka::sync::Cache;

use super::super::entries::Entries;
use super::TTL;
use crate::error::AnyError;

/// A cache with its default policy, `TinyLFU`, and hasher; with a time to live if `EXPIRING`.
pub(crate) struct Moka<const EXPIRING: bool>(Cache<u64, u64>);

impl<const EXPIRING: bool> Entries for Moka<EXPIRING> {
    fn with_capacity(capacity: usize) -> Result<Self, AnyError> {
        let builder = Cache::builder().max_capacity(u64::try_from(capacity)?);
        Ok(Self(if EXPIRING { builder.time_to_live(TTL).build() } else { builder.build() }))
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
