//! A shard while its lock is held, and what leaves it meanwhile.

use std::borrow::Borrow;
use std::hash::Hash;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::MutexGuard;

use super::entry::{Entry, EvictionCause};
use super::flight::Flight;
use super::inner::Inner;
use super::shard::{Shard, ShardCell};

/// A shard under its lock. Dropping it settles the weight, even if a key's comparison panicked.
pub(super) struct Held<'a, K, V> {
    shard: MutexGuard<'a, Shard<K, V>>,
    /// Its weight when it was taken.
    pub(super) before: u64,
    cell: &'a ShardCell<K, V>,
    weight: &'a AtomicU64,
}

impl<K, V> Deref for Held<'_, K, V> {
    type Target = Shard<K, V>;

    fn deref(&self) -> &Self::Target {
        &self.shard
    }
}

impl<K, V> DerefMut for Held<'_, K, V> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.shard
    }
}

impl<K, V> Drop for Held<'_, K, V> {
    fn drop(&mut self) {
        let after = self.shard.policy.weight();
        if after > self.before {
            self.weight.fetch_add(after - self.before, Ordering::Relaxed);
        } else if after < self.before {
            self.weight.fetch_sub(self.before - after, Ordering::Relaxed);
        }
        self.cell.face.show(&self.shard.policy);
    }
}

/// What has left a shard and waits to be dropped outside the locks. Most writes cause one entry to
/// leave at the most.
pub(super) struct Gone<K, V> {
    first: Option<Departed<K, V>>,
    rest: Vec<Departed<K, V>>,
    /// Loads that will not be stored.
    pub(super) flights: Vec<(K, Arc<Flight<V>>)>,
}

type Departed<K, V> = (K, Entry<V>, EvictionCause);

impl<K: Hash + Eq, V> Gone<K, V> {
    /// Sees to it that a load of `key` under way is not stored.
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
        let departed = (key, entry, cause);
        if self.first.is_none() {
            self.first = Some(departed);
        } else {
            self.rest.push(departed);
        }
    }
}

impl<K, V> Inner<K, V> {
    fn hold<'a>(&'a self, cell: &'a ShardCell<K, V>) -> Held<'a, K, V> {
        let shard = cell.state.lock();
        let before = shard.policy.weight();
        Held { shard, before, cell, weight: &self.weight }
    }

    /// Runs `work` under the lock of a shard, and lets go of what left after it.
    pub(super) fn with_shard<R>(
        &self,
        index: usize,
        work: impl FnOnce(&mut Held<'_, K, V>, &mut Gone<K, V>) -> R,
    ) -> R {
        let cell = &*self.shards[index];
        let mut gone = Gone { first: None, rest: Vec::new(), flights: Vec::new() };
        let result = work(&mut self.hold(cell), &mut gone);
        if let Some(listener) = &self.settings.listener {
            for (key, entry, cause) in gone.first.iter().chain(&gone.rest) {
                if let Some(value) = &entry.value {
                    listener(key, value, *cause);
                }
            }
        }
        result
    }
}
