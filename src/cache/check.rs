//! The invariants that hold whenever no call is under way.

use std::hash::Hash;

use super::Cache;
use super::millis::NEVER;

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// Map, policy, wheel, tags and counters agree.
    pub(super) fn check(&self) {
        let (mut entries, mut weight, mut tagged) = (0, 0, 0);
        self.inner.table.for_each(|key, entry| {
            let hash = self.inner.table.hash(key);
            let shard = self.inner.shards[self.inner.shard_of(hash)].state.lock();
            let node = shard.policy.slab.get(entry.slot);
            assert_eq!(node.hash, hash, "the policy's node is another entry's");
            assert_eq!(node.queue, entry.queue(), "the queue that the entry is marked with");
            let deadline = entry.deadline(self.inner.idle);
            assert!(node.live, "a free node");
            // A read may have extended it since it was scheduled, and the node may still be in the
            // bucket of an earlier entry.
            assert!(deadline == NEVER || node.bucket.is_some() && node.deadline <= deadline);
            assert_eq!(node.tagged, shard.tags.has(entry.slot));
            entries += 1;
            weight += node.weight;
            tagged += usize::from(node.tagged);
        });
        assert_eq!(entries, self.len(), "map and policy hold different entries");
        assert_eq!(weight, self.weight(), "the total weight");
        for cell in &self.inner.shards {
            let shard = cell.state.lock();
            assert!(shard.flights.is_empty(), "a load without a leader");
            shard.policy.check(self.inner.settings.capacity);
            cell.published.check(&shard.policy);
            (entries, weight) = (entries - shard.policy.entries(), weight - shard.policy.weight());
            shard.policy.wheel.check(&shard.policy.slab);
            tagged -= shard.tags.check();
        }
        assert_eq!((entries, weight, tagged), (0, 0, 0), "entries that the map does not have");
        let stats = self.stats();
        let left =
            stats.replaced + stats.invalidated + stats.expired + stats.evicted + stats.shrunk;
        assert_eq!(
            stats.inserts,
            left + stats.entries,
            "an insertion that is neither held nor counted as removed"
        );
        assert_eq!((stats.entries, stats.weight), (self.len() as u64, self.weight()));
    }
}
