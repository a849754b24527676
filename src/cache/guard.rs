//! A locked shard, and what is removed while it is locked.

use std::borrow::Borrow;
use std::hash::Hash;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::MutexGuard;

use super::entry::{Entry, EvictionCause};
use super::flight::Flight;
use super::shard::{Shard, ShardCell};

/// A locked shard. Dropping it updates the weight of the cache, even if a key's comparison
/// panicked.
pub(super) struct ShardGuard<'a, K, V> {
    shard: MutexGuard<'a, Shard<K, V>>,
    /// Its weight when it was locked.
    weight_before: u64,
    cell: &'a ShardCell<K, V>,
    /// The weight of the whole cache.
    total: &'a AtomicU64,
}

impl<'a, K, V> ShardGuard<'a, K, V> {
    pub(super) fn lock(cell: &'a ShardCell<K, V>, total: &'a AtomicU64) -> Self {
        let shard = cell.state.lock();
        Self { weight_before: shard.policy.weight(), shard, cell, total }
    }

    /// The weight of the whole cache, with what has changed under this lock.
    pub(super) fn total_weight(&self) -> u64 {
        let others = self.total.load(Ordering::Relaxed).saturating_sub(self.weight_before);
        others.saturating_add(self.shard.policy.weight())
    }
}

impl<K, V> Deref for ShardGuard<'_, K, V> {
    type Target = Shard<K, V>;

    fn deref(&self) -> &Self::Target {
        &self.shard
    }
}

impl<K, V> DerefMut for ShardGuard<'_, K, V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.shard
    }
}

impl<K, V> Drop for ShardGuard<'_, K, V> {
    fn drop(&mut self) {
        let after = self.shard.policy.weight();
        if after > self.weight_before {
            self.total.fetch_add(after - self.weight_before, Ordering::Relaxed);
        } else if after < self.weight_before {
            self.total.fetch_sub(self.weight_before - after, Ordering::Relaxed);
        }
        self.cell.published.publish(&self.shard.policy);
    }
}

/// What was removed from a shard, to be dropped once the locks are released. Most writes remove at
/// most one entry, which costs no allocation here.
pub(super) struct Removed<K, V> {
    first: Option<RemovedEntry<K, V>>,
    rest: Vec<RemovedEntry<K, V>>,
    /// Loads that will not be stored.
    pub(super) flights: Vec<(K, Arc<Flight<V>>)>,
}

pub(super) type RemovedEntry<K, V> = (K, Entry<V>, EvictionCause);

impl<K, V> Default for Removed<K, V> {
    fn default() -> Self {
        Self { first: None, rest: Vec::new(), flights: Vec::new() }
    }
}

impl<K, V> Removed<K, V> {
    /// The entries, in the order in which they were removed.
    pub(super) fn entries(&self) -> impl Iterator<Item = &RemovedEntry<K, V>> {
        self.first.iter().chain(&self.rest)
    }
}

impl<K: Hash + Eq, V> Removed<K, V> {
    /// Cancels the storing of a load of `key`, if one is under way.
    pub(super) fn supersede<Q>(&mut self, shard: &mut Shard<K, V>, key: &Q)
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        if !shard.flights.is_empty() {
            self.flights.extend(shard.flights.remove_entry(key));
        }
    }

    pub(super) fn push(&mut self, key: K, entry: Entry<V>, cause: EvictionCause) {
        let removed = (key, entry, cause);
        if self.first.is_none() {
            self.first = Some(removed);
        } else {
            self.rest.push(removed);
        }
    }
}
