//! `quick_cache`: CLOCK-PRO in shards, each of which has its part of the capacity; no expiry.

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};

use super::super::entries::Entries;
use crate::error::AnyError;

/// A cache whose weight is its number of entries.
pub(crate) struct QuickCache(Cache<u64, u64>);

impl Entries for QuickCache {
    fn with_capacity(capacity: usize) -> Result<Self, AnyError> {
        let options = OptionsBuilder::new()
            .estimated_items_capacity(capacity)
            .weight_capacity(u64::try_from(capacity)?)
            .build()?;
        let (hasher, lifecycle) = (DefaultHashBuilder::default(), DefaultLifecycle::default());
        Ok(Self(Cache::with_options(options, UnitWeighter, hasher, lifecycle)))
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
