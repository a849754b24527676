//! The map: `dashmap`'s shards, accessed by a hash that is computed once.
//!
//! The policy knows entries by hash and slot, so it needs no copy of their keys. Entries are in the
//! map itself, not behind an `Arc`, so a hit touches one cache line less and changes no reference
//! count. The price is that `V::clone`, `Hash` and `Eq` run under a shard's lock.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{BuildHasher, Hash};

use dashmap::{DashMap, SharedValue};
use foldhash::quality::RandomState;

use super::entry::Entry;

/// Different bits of the hash choose the shard, the set of a ghost and its tag, so all of them must
/// be good. With the hasher's faster variant, in one process of fifty, consecutive keys differed in
/// too few bits, and the ghosts of some keys were pushed out at once, every time.
pub(super) struct Table<K, V> {
    map: DashMap<K, Entry<V>, RandomState>,
    hasher: RandomState,
}

impl<K, V> fmt::Debug for Table<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").finish_non_exhaustive()
    }
}

impl<K: Hash + Eq, V> Table<K, V> {
    /// `shards` is a power of two, at least 2.
    pub(super) fn new(shards: usize) -> Self {
        let hasher = RandomState::default();
        Self { map: DashMap::with_hasher_and_shard_amount(hasher.clone(), shards), hasher }
    }

    #[inline]
    pub(super) fn hash<Q>(&self, key: &Q) -> u64
    where
        K: Borrow<Q>,
        Q: Hash + ?Sized,
    {
        self.hasher.hash_one(key)
    }

    /// Calls `see` with the entry under `key`, under the read lock of its shard.
    #[inline]
    pub(super) fn read<Q, R>(
        &self,
        hash: u64,
        key: &Q,
        see: impl FnOnce(&Entry<V>) -> R,
    ) -> Option<R>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let shard = self.map.shards()[self.shard(hash)].read();
        shard.get(hash, |(found, _)| found.borrow() == key).map(|(_, entry)| see(entry.get()))
    }

    /// Calls `see` with the entry of the policy's `slot`, under the read lock of its shard.
    pub(super) fn read_slot<R>(
        &self,
        hash: u64,
        slot: u32,
        see: impl FnOnce(&Entry<V>) -> R,
    ) -> Option<R> {
        let shard = self.map.shards()[self.shard(hash)].read();
        shard.get(hash, |(_, entry)| entry.get().slot == slot).map(|(_, entry)| see(entry.get()))
    }

    /// Inserts an entry. Returns what it replaces, with the new key, which is not needed then.
    pub(super) fn put(&self, hash: u64, key: K, entry: Entry<V>) -> Option<(K, Entry<V>)> {
        let mut shard = self.map.shards()[self.shard(hash)].write();
        if let Some((_, old)) = shard.get_mut(hash, |(found, _)| *found == key) {
            return Some((key, std::mem::replace(old.get_mut(), entry)));
        }
        shard.insert(hash, (key, SharedValue::new(entry)), |(key, _)| self.hasher.hash_one(key));
        None
    }

    /// Removes the entry under `key`.
    pub(super) fn remove<Q>(&self, hash: u64, key: &Q) -> Option<(K, Entry<V>)>
    where
        K: Borrow<Q>,
        Q: Eq + ?Sized,
    {
        let mut shard = self.map.shards()[self.shard(hash)].write();
        let (key, entry) = shard.remove_entry(hash, |(found, _)| found.borrow() == key)?;
        Some((key, entry.into_inner()))
    }

    /// Removes the entry of the policy's `slot` if it meets `condition`.
    pub(super) fn remove_slot(
        &self,
        hash: u64,
        slot: u32,
        condition: impl Fn(&Entry<V>) -> bool,
    ) -> Option<(K, Entry<V>)> {
        let mut shard = self.map.shards()[self.shard(hash)].write();
        let (key, entry) = shard
            .remove_entry(hash, |(_, entry)| entry.get().slot == slot && condition(entry.get()))?;
        Some((key, entry.into_inner()))
    }

    /// Frees the memory that the entries no longer need.
    pub(super) fn release(&self) {
        for shard in self.map.shards() {
            shard.write().shrink_to(0, |(key, _)| self.hasher.hash_one(key));
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "hashes are as good in fewer bits")]
    #[inline]
    fn shard(&self, hash: u64) -> usize {
        self.map.determine_shard(hash as usize)
    }

    /// Number of entries that fit without growing.
    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.map.shards().iter().map(|shard| shard.read().capacity()).sum()
    }

    #[cfg(test)]
    pub(super) fn for_each(&self, mut see: impl FnMut(&K, &Entry<V>)) {
        self.map.iter().for_each(|found| see(found.key(), found.value()));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn room_that_is_not_needed_is_given_back() {
        let table: Table<u64, u64> = Table::new(2);
        (0..1000_u64).for_each(|key| {
            table.put(table.hash(&key), key, Entry::new(Some(key), 0, 0));
        });
        (10..1000_u64).for_each(|key| assert!(table.remove(table.hash(&key), &key).is_some()));
        assert!(table.capacity() > 900);
        table.release();
        assert!(table.capacity() < 100, "{}", table.capacity());
        assert!((0..10_u64).all(|key| table.read(table.hash(&key), &key, |_| ()).is_some()));
    }

    #[test]
    fn keys_that_follow_each_other_differ_in_all_parts_of_their_hashes() {
        let table: Table<u64, ()> = Table::new(2);
        for (shift, bits) in [(0, 12), (20, 12), (32, 12), (51, 6)] {
            let part = |key| table.hash(&key) >> shift & ((1 << bits) - 1);
            let parts: HashSet<u64> = (0..1 << bits).map(part).collect();
            // 63 % of all values on average.
            assert!(parts.len() * 2 > 1 << bits, "{} of bits {shift}..", parts.len());
        }
    }
}
