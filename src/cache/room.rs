//! Making room: what has expired goes, and what the policy gives up.

use std::hash::Hash;
use std::sync::atomic::Ordering;

use super::entry::{Entry, EvictionCause, Millis};
use super::held::{Gone, Held};
use super::inner::Inner;
use super::policy::Entries;
use super::slab::NIL;
use super::table::Table;

/// Nodes that one write moves in the wheel, or finds without an expired entry, at the most; as many
/// again for each entry that has to make room.
pub(super) const MOVES_PER_WRITE: usize = 32;
/// The same for each entry that a sweep may take out: they come down from the highest level.
const MOVES_PER_SWEPT: usize = 4;
/// Entries that are taken out under one hold of a lock when many go.
pub(super) const BATCH: usize = 1024;

impl<K: Hash + Eq, V: Clone> Inner<K, V> {
    /// Takes out up to `most` entries that have expired; how many it was. The shards are gone through
    /// from where the last sweep ended.
    pub(super) fn sweep(&self, most: usize) -> usize {
        let now = self.now_if_timed();
        let mut swept = 0;
        for _ in 0..self.shards.len() {
            let index = self.to_sweep.load(Ordering::Relaxed) % self.shards.len();
            while swept < most {
                let batch = (most - swept).min(BATCH);
                let mut moves = MOVES_PER_SWEPT * batch;
                let found = self.with_shard(index, |held, gone| {
                    let mut expired = || self.take_expired(held, now, &mut moves, gone);
                    (0..batch).take_while(|_| expired()).count()
                });
                swept += found;
                if found < batch && moves > 0 {
                    break;
                }
            }
            if swept == most {
                break;
            }
            self.to_sweep.store(index + 1, Ordering::Relaxed);
        }
        swept
    }

    /// Takes an expired entry out, if one has come up.
    pub(super) fn take_expired(
        &self,
        held: &mut Held<'_, K, V>,
        now: Millis,
        moves: &mut usize,
        gone: &mut Gone<K, V>,
    ) -> bool {
        while let Some(slot) = held.policy.take_due(now, moves) {
            let hash = held.policy.slab.get(slot).hash;
            let deadline = self.table.read_slot(hash, slot, |entry| entry.deadline(self.idle));
            if let Some(deadline) = deadline.filter(|deadline| *deadline > now) {
                // It was read since it was scheduled.
                held.policy.expire_at(slot, deadline, now);
            } else {
                self.take_out(held, slot, EvictionCause::Expired, gone);
                return true;
            }
        }
        false
    }

    pub(super) fn take_out(
        &self,
        held: &mut Held<'_, K, V>,
        slot: u32,
        cause: EvictionCause,
        gone: &mut Gone<K, V>,
    ) {
        let hash = held.policy.slab.get(slot).hash;
        if let Some((key, entry)) = self.table.remove_slot(hash, slot, |_| true) {
            if cause == EvictionCause::Expired {
                held.policy.remember_expired(slot, entry.last());
            }
            gone.push(key, entry, cause);
        }
        held.forget(slot, cause);
    }

    /// Evicts an entry other than `newest`; false if there is none.
    fn evict(
        &self,
        held: &mut Held<'_, K, V>,
        newest: u32,
        cause: EvictionCause,
        gone: &mut Gone<K, V>,
    ) -> bool {
        let mut evictor = Evictor { table: &self.table, gone, cause };
        let Some(slot) = held.policy.evict(newest, &mut evictor) else { return false };
        held.forget(slot, cause);
        true
    }

    /// Evicts from the shard that has just grown by `newest`, until all fit, or until it has no more
    /// than its share.
    pub(super) fn make_room(
        &self,
        held: &mut Held<'_, K, V>,
        newest: u32,
        now: Millis,
        gone: &mut Gone<K, V>,
    ) {
        let share = self.settings.capacity >> self.shard_bits;
        while self.weight_with(held) > self.settings.capacity {
            if self.take_expired(held, now, &mut { MOVES_PER_WRITE }, gone) {
                continue;
            }
            if self.shard_bits > 0 && held.policy.weight() <= share {
                return;
            }
            if !self.evict(held, newest, EvictionCause::Capacity, gone) {
                return;
            }
        }
    }

    /// Evicts from the heaviest shards until the weight is at most `target`, or until what was above
    /// it at first has been evicted: others may put more meanwhile.
    pub(super) fn shrink(&self, target: u64, cause: EvictionCause) {
        let mut excess = self.weight().saturating_sub(target);
        while excess > 0 && self.weight() > target {
            let weight = |index: &usize| self.shards[*index].face.weight.load(Ordering::Relaxed);
            let Some(heaviest) = (0..self.shards.len()).max_by_key(weight) else { return };
            let evicted = self.with_shard(heaviest, |held, gone| {
                let (before, floor) = (held.policy.weight(), target >> self.shard_bits);
                for _ in 0..BATCH {
                    let evicted = before - held.policy.weight();
                    let enough = evicted > 0 && held.policy.weight() <= floor;
                    if self.weight_with(held) <= target || evicted >= excess || enough {
                        break;
                    }
                    if !self.evict(held, NIL, cause, gone) {
                        break;
                    }
                }
                before - held.policy.weight()
            });
            if evicted == 0 && self.entries() == 0 {
                return;
            }
            excess = excess.saturating_sub(evicted);
        }
    }

    /// The weight of all entries, with what this hold of a shard has changed so far.
    pub(super) fn weight_with(&self, held: &Held<'_, K, V>) -> u64 {
        let others = self.weight.load(Ordering::Relaxed).saturating_sub(held.before);
        others.saturating_add(held.policy.weight())
    }
}

/// The map as the policy sees it. The policy holds a slot exactly while the map holds its entry;
/// both change under the shard's lock.
pub(super) struct Evictor<'a, K, V> {
    table: &'a Table<K, V>,
    gone: &'a mut Gone<K, V>,
    cause: EvictionCause,
}

impl<'a, K, V> Evictor<'a, K, V> {
    pub(super) fn new(table: &'a Table<K, V>, gone: &'a mut Gone<K, V>) -> Self {
        Self { table, gone, cause: EvictionCause::Capacity }
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
        let last = entry.last();
        self.gone.push(key, entry, self.cause);
        Some(last)
    }
}

impl<K: Hash + Eq, V> Entries for Evictor<'_, K, V> {
    fn unread_or_spend(&self, hash: u64, slot: u32) -> Option<u32> {
        self.table.read_slot(hash, slot, |entry| (!entry.spend_read()).then(|| entry.last()))?
    }

    fn evict_or_spend(&mut self, hash: u64, slot: u32) -> Option<u32> {
        self.evict_if(hash, slot, |entry| !entry.spend_read())
    }

    fn evict(&mut self, hash: u64, slot: u32) -> u32 {
        self.evict_if(hash, slot, |_| true).unwrap_or(0)
    }

    fn move_to_main(&self, hash: u64, slot: u32) {
        self.table.read_slot(hash, slot, Entry::move_to_main);
    }
}
