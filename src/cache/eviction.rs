//! Making room: expired entries go first, then the policy's victims.

use std::hash::Hash;
use std::sync::atomic::Ordering;

use super::entry::EvictionCause;
use super::evictor::Evictor;
use super::guard::{Removed, ShardGuard};
use super::inner::{BATCH, Inner, MOVES_PER_WRITE};
use super::millis::Millis;
use super::slab::NIL;

/// Wheel moves for each entry that a sweep may remove. A node moves down several levels before it
/// expires.
const MOVES_PER_SWEPT: usize = 4;

impl<K: Hash + Eq, V: Clone> Inner<K, V> {
    /// Removes up to `most` expired entries and returns their number. Starts at the shard where the
    /// last sweep ended, so that repeated short sweeps reach them all.
    pub(super) fn sweep(&self, most: usize) -> usize {
        let now = self.now_if_timed();
        let mut swept = 0;
        for _ in 0..self.shards.len() {
            let index = self.next_sweep.load(Ordering::Relaxed) % self.shards.len();
            while swept < most {
                let batch = (most - swept).min(BATCH);
                let mut moves = MOVES_PER_SWEPT * batch;
                let found = self.with_shard(index, |shard, removed| {
                    let mut expired = || self.take_expired(shard, now, &mut moves, removed);
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
            self.next_sweep.store(index + 1, Ordering::Relaxed);
        }
        swept
    }

    /// Removes an expired entry, if one is due; false if none is.
    pub(super) fn take_expired(
        &self,
        shard: &mut ShardGuard<'_, K, V>,
        now: Millis,
        moves: &mut usize,
        removed: &mut Removed<K, V>,
    ) -> bool {
        while let Some(slot) = shard.policy.take_due(now, moves) {
            let hash = shard.policy.slab.get(slot).hash;
            let deadline = self.table.read_slot(hash, slot, |entry| entry.deadline(self.idle));
            if let Some(deadline) = deadline.filter(|deadline| *deadline > now) {
                // A read has extended its idle time since it was scheduled.
                shard.policy.expire_at(slot, deadline, now);
            } else {
                self.remove_node(shard, slot, EvictionCause::Expired, removed);
                return true;
            }
        }
        false
    }

    pub(super) fn remove_node(
        &self,
        shard: &mut ShardGuard<'_, K, V>,
        slot: u32,
        cause: EvictionCause,
        removed: &mut Removed<K, V>,
    ) {
        let hash = shard.policy.slab.get(slot).hash;
        if let Some((key, entry)) = self.table.remove_slot(hash, slot, |_| true) {
            if cause == EvictionCause::Expired {
                shard.policy.remember_expired(slot, entry.last_access());
            }
            removed.push(key, entry, cause);
        }
        shard.forget(slot, cause);
    }

    /// Evicts an entry other than `newest`; false if there is none.
    fn evict(
        &self,
        shard: &mut ShardGuard<'_, K, V>,
        newest: u32,
        cause: EvictionCause,
        removed: &mut Removed<K, V>,
    ) -> bool {
        let mut evictor = Evictor::new(&self.table, removed, cause);
        let Some(slot) = shard.policy.evict(newest, &mut evictor) else { return false };
        shard.forget(slot, cause);
        true
    }

    /// Evicts from the shard that `newest` was added to, until the cache is within its capacity or
    /// the shard within its share. Other shards must shrink for the rest; `put` sees to that
    /// without this lock.
    pub(super) fn make_room(
        &self,
        shard: &mut ShardGuard<'_, K, V>,
        newest: u32,
        now: Millis,
        removed: &mut Removed<K, V>,
    ) {
        let allowed = self.settings.capacity >> self.shard_bits;
        while shard.total_weight() > self.settings.capacity {
            if self.take_expired(shard, now, &mut { MOVES_PER_WRITE }, removed) {
                continue;
            }
            if self.shard_bits > 0 && shard.policy.weight() <= allowed {
                return;
            }
            if !self.evict(shard, newest, EvictionCause::Capacity, removed) {
                return;
            }
        }
    }

    /// Evicts from the heaviest shards until the weight is at most `target`. It stops once it has
    /// evicted the initial excess, so that concurrent insertions cannot keep it going.
    pub(super) fn shrink(&self, target: u64, cause: EvictionCause) {
        let mut excess = self.weight().saturating_sub(target);
        while excess > 0 && self.weight() > target {
            let weight =
                |index: &usize| self.shards[*index].published.weight.load(Ordering::Relaxed);
            let Some(heaviest) = (0..self.shards.len()).max_by_key(weight) else { return };
            let evicted = self.with_shard(heaviest, |shard, removed| {
                let (before, floor) = (shard.policy.weight(), target >> self.shard_bits);
                for _ in 0..BATCH {
                    let evicted = before - shard.policy.weight();
                    let enough = evicted > 0 && shard.policy.weight() <= floor;
                    if shard.total_weight() <= target || evicted >= excess || enough {
                        break;
                    }
                    if !self.evict(shard, NIL, cause, removed) {
                        break;
                    }
                }
                before - shard.policy.weight()
            });
            if evicted == 0 && self.entries() == 0 {
                return;
            }
            excess = excess.saturating_sub(evicted);
        }
    }
}
