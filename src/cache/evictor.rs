//! What the policy asks of the map, and how it takes its victims out.

use std::hash::Hash;

use super::entry::{Entry, EvictionCause};
use super::guard::Removed;
use super::policy::Entries;
use super::table::Table;

/// The map as the policy sees it. A slot is in the policy exactly while its entry is in the map;
/// both change under the shard's lock.
pub(super) struct Evictor<'a, K, V> {
    table: &'a Table<K, V>,
    removed: &'a mut Removed<K, V>,
    cause: EvictionCause,
}

impl<'a, K, V> Evictor<'a, K, V> {
    pub(super) fn new(
        table: &'a Table<K, V>,
        removed: &'a mut Removed<K, V>,
        cause: EvictionCause,
    ) -> Self {
        Self { table, removed, cause }
    }
}

impl<K: Hash + Eq, V> Evictor<'_, K, V> {
    fn evict_if(
        &mut self,
        hash: u64,
        slot: u32,
        condition: impl Fn(&Entry<V>) -> bool,
    ) -> Option<u32> {
        let (key, entry) = self.table.remove_slot(hash, slot, condition)?;
        let last_access = entry.last_access();
        self.removed.push(key, entry, self.cause);
        Some(last_access)
    }
}

impl<K: Hash + Eq, V> Entries for Evictor<'_, K, V> {
    fn last_access_if_unread(&self, hash: u64, slot: u32) -> Option<u32> {
        self.table
            .read_slot(hash, slot, |entry| (!entry.spend_read()).then(|| entry.last_access()))?
    }

    fn evict_if_unread(&mut self, hash: u64, slot: u32) -> Option<u32> {
        self.evict_if(hash, slot, |entry| !entry.spend_read())
    }

    fn evict(&mut self, hash: u64, slot: u32) -> u32 {
        self.evict_if(hash, slot, |_| true).unwrap_or(0)
    }

    fn move_to_main(&self, hash: u64, slot: u32) {
        self.table.read_slot(hash, slot, Entry::move_to_main);
    }
}
