//! The eviction policy: which entry goes next.
//!
//! Two queues, as in S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP
//! '23). New entries start in the small one and move to the main one if they were read there; the
//! main one gives entries that were read another round. Ghost entries remember what was evicted.
//! Three things differ from S3-FIFO:
//!
//! - **A ghost that comes back is compared with the main queue's next victim**, by the rule of LIRS
//!   (Jiang and Zhang, SIGMETRICS '02): it is admitted to the main queue only if it came back after
//!   a shorter time than the victim has gone unread. In a loop larger than the cache all keys come
//!   back after the same time, so the main queue stays as it is and most of it keeps hitting.
//! - **The small queue's size adapts**, as in ARC (Megiddo and Modha, FAST '03): a ghost that would
//!   have been a hit in a slightly longer queue lengthens the queue it was evicted from. Only
//!   evictions within a recent window count, of the same width for both queues, so that the two
//!   compare.
//! - **Reads right after an insertion do not count** ([`Entry::note_read`]).
//!
//! The policy's clock is the total weight inserted so far, so distances in time compare directly
//! with queue lengths.
//!
//! An entry that replaces another takes over its queue and its reads, and an expired entry leaves a
//! ghost. So an entry that is reloaded whenever it expires is not treated as new.
//!
//! [`Entry::note_read`]: super::entry::Entry::note_read

use super::ghosts::{Ghost, Ghosts};
use super::millis::Millis;
use super::slab::{InQueue, List, Node, QueueId, Slab};
use super::wheel::Wheel;

/// The small queue's target is at least one part in this many of the capacity, where it starts.
const MIN_SMALL: u64 = 1024;
/// Its target is at most one part in this many of the capacity.
const MAX_SMALL: u64 = 2;
/// A ghost adapts the queues if no more than one part in this many of the capacity was evicted from
/// its queue since.
const WINDOW: u64 = 32;
/// Reads of a new entry within one part in this many of the small queue's target count as one.
const CORRELATED: u64 = 4;
/// Below this many steps of the clock that period is too short to measure, and all reads count.
const MIN_CORRELATED: u32 = 8;
/// Where all reads count, readers may see a clock that is late by one part in this many of the
/// capacity.
const LATENESS: u64 = 256;
/// A ghost of the small queue must be back this many times sooner than the victim was last read.
/// One of the main queue was read before, so being sooner is enough.
const SMALL_GHOST_FACTOR: u64 = 2;
/// Ghosts for each live entry, and a minimum: small caches need a longer memory than their size.
const GHOSTS_PER_ENTRY: usize = 2;
const MIN_GHOSTS: usize = 64;
/// Most entries that get another round in the main queue in one search for a victim.
const MAX_ROUNDS: usize = 64;
/// The capacity is about 2^this steps of the clock, or its own weight in steps if that is less.
const CLOCK_BITS: u32 = 20;

/// What the policy reads and changes of the entries in the map.
pub(super) trait Entries {
    /// The policy's time of the entry's last read or insertion if it has no reads. Otherwise spends
    /// one and returns `None`.
    fn last_access_if_unread(&self, hash: u64, slot: u32) -> Option<u32>;
    /// The same, but an entry without reads is removed from the map.
    fn evict_if_unread(&mut self, hash: u64, slot: u32) -> Option<u32>;
    /// Removes the entry from the map. Returns the policy's time of its last read or insertion.
    fn evict(&mut self, hash: u64, slot: u32) -> u32;
    /// Marks the entry as one of the main queue, without reads.
    fn move_to_main(&self, hash: u64, slot: u32);
}

#[derive(Debug)]
pub(super) struct Policy {
    pub(super) slab: Slab,
    pub(super) wheel: Wheel,
    small: Queue,
    main: Queue,
    ghosts: Ghosts,
    /// This shard's part of the capacity.
    share: u64,
    small_target: u64,
    /// Weight inserted so far.
    put: u64,
    /// The weight of one step of the clock, as a power of two.
    step: u32,
}

#[derive(Debug)]
struct Queue {
    list: List,
    entries: usize,
    weight: u64,
    /// Weight evicted from it so far.
    evicted: u64,
}

fn ghosts_for(entries: usize) -> usize {
    GHOSTS_PER_ENTRY * entries + MIN_GHOSTS
}

impl Policy {
    pub(super) fn new(share: u64) -> Self {
        Self {
            slab: Slab::default(),
            wheel: Wheel::default(),
            small: Queue::new(),
            main: Queue::new(),
            ghosts: Ghosts::default(),
            share,
            small_target: (share / MIN_SMALL).max(1),
            put: 0,
            step: (u64::BITS - share.leading_zeros()).saturating_sub(CLOCK_BITS),
        }
    }

    pub(super) fn entries(&self) -> usize {
        self.small.entries + self.main.entries
    }

    pub(super) fn weight(&self) -> u64 {
        self.small.weight + self.main.weight
    }

    pub(super) fn ghosts(&self) -> usize {
        self.ghosts.len()
    }

    pub(super) fn forget_ghosts(&mut self) {
        self.ghosts.clear();
    }

    /// The policy's time.
    pub(super) fn now(&self) -> u32 {
        self.steps(self.put)
    }

    /// Reads of a new entry that are no further apart than this count as one; 0 if all count.
    pub(super) fn correlated(&self) -> u32 {
        let correlated = self.steps(self.small_target / CORRELATED);
        if correlated < MIN_CORRELATED { 0 } else { correlated }
    }

    /// How late the clock that readers see may be: little enough to make no difference to the
    /// policy.
    pub(super) fn lateness(&self) -> u32 {
        match self.correlated() {
            0 => self.steps(self.share / LATENESS),
            correlated => correlated / MIN_CORRELATED,
        }
    }

    /// Weight in steps of the clock. The clock wraps after 2^32 steps, at least 2^12 capacities.
    #[expect(clippy::cast_possible_truncation, reason = "differences are taken modulo 2^32")]
    fn steps(&self, weight: u64) -> u32 {
        (weight >> self.step) as u32
    }

    /// Steps in the 31 bits that ghosts keep.
    fn ghost_steps(steps: u32) -> u32 {
        steps & (u32::MAX >> 1)
    }

    fn queue_mut(&mut self, id: QueueId) -> &mut Queue {
        match id {
            QueueId::Small => &mut self.small,
            QueueId::Main => &mut self.main,
        }
    }

    /// The queue for an entry that is inserted now. `full` says that another has to go for it.
    pub(super) fn admit(
        &mut self,
        hash: u64,
        weight: u64,
        full: bool,
        entries: &impl Entries,
    ) -> QueueId {
        self.put = self.put.wrapping_add(weight);
        let main_has_room = self.main.weight.saturating_add(weight)
            <= self.share - self.small_target.min(self.share);
        let Some(ghost) = self.ghosts.take(hash) else {
            return if main_has_room && !full { QueueId::Main } else { QueueId::Small };
        };
        self.adapt(ghost);
        if main_has_room || self.returned_sooner_than_victim(ghost, entries) {
            QueueId::Main
        } else {
            QueueId::Small
        }
    }

    fn returned_sooner_than_victim(&mut self, ghost: Ghost, entries: &impl Entries) -> bool {
        let Some(last_access) = self.victim_last_access(entries) else { return true };
        let now = self.now();
        let silence = now.wrapping_sub(last_access);
        let return_distance = u64::from(now.wrapping_sub(ghost.last_access));
        let factor = match ghost.queue {
            QueueId::Small => SMALL_GHOST_FACTOR,
            QueueId::Main => 1,
        };
        return_distance * factor < u64::from(silence)
    }

    /// Moves the boundary between the queues by about one entry.
    fn adapt(&mut self, ghost: Ghost) {
        let window = self.steps(self.share / WINDOW).max(1);
        let evicted = self.queue_mut(ghost.queue).evicted;
        if Self::ghost_steps(self.steps(evicted).wrapping_sub(ghost.evicted_at)) > window {
            return;
        }
        let average = (self.weight() / (self.entries() as u64).max(1)).max(1);
        let target = match ghost.queue {
            QueueId::Small => self.small_target.saturating_add(average),
            QueueId::Main => self.small_target.saturating_sub(average),
        };
        let least = (self.share / MIN_SMALL).max(1);
        self.small_target = target.clamp(least, (self.share / MAX_SMALL).max(least));
    }

    /// Adds an entry to a queue; `None` if all slots are taken.
    pub(super) fn add(
        &mut self,
        hash: u64,
        weight: u64,
        queue: QueueId,
        tagged: bool,
    ) -> Option<u32> {
        let slot = self.slab.add(hash, weight, queue, tagged)?;
        self.enqueue(slot, queue);
        Some(slot)
    }

    /// Removes an entry and returns its node.
    pub(super) fn remove(&mut self, slot: u32) -> Node {
        self.dequeue(slot);
        let node = self.slab.get(slot).clone();
        self.slab.free(slot);
        node
    }

    /// Schedules `slot` to come due by `deadline`. If the wheel already has it at an earlier time
    /// it is left there, since it will be checked and rescheduled when that comes due. This saves
    /// most writes a change of the wheel.
    pub(super) fn expire_at(&mut self, slot: u32, deadline: Millis, now: Millis) {
        let node = self.slab.get(slot);
        if node.bucket.is_none() || node.deadline > deadline {
            self.wheel.schedule(&mut self.slab, slot, deadline, now);
        }
    }

    /// An entry that may have expired. The nodes visited are subtracted from `moves`.
    pub(super) fn take_due(&mut self, now: Millis, moves: &mut usize) -> Option<u32> {
        loop {
            let slot = self.wheel.take_due(&mut self.slab, now, moves)?;
            if self.slab.get(slot).live {
                return Some(slot);
            }
        }
    }

    /// Leaves a ghost of an expired entry, so that it is not new when it is inserted again. The
    /// ghost must not adapt the queues, since no queue was too short for it.
    pub(super) fn remember_expired(&mut self, slot: u32, last_access: u32) {
        let &Node { hash, queue, .. } = self.slab.get(slot);
        let evicted = self.queue_mut(queue).evicted;
        // Far outside the window within which ghosts adapt the queues.
        let evicted_at = Self::ghost_steps(self.steps(evicted).wrapping_add(1 << 30));
        self.ghosts.add(hash, Ghost { last_access, queue, evicted_at }, ghosts_for(self.entries()));
    }

    /// Moves an entry to the new end of a queue.
    pub(super) fn move_to(&mut self, slot: u32, queue: QueueId) {
        self.dequeue(slot);
        self.enqueue(slot, queue);
    }

    /// The oldest entry of the small queue, or else of the main one.
    pub(super) fn oldest(&self) -> Option<u32> {
        self.small.oldest().or_else(|| self.main.oldest())
    }

    /// Removes a victim other than `newest` from the map and leaves its ghost; `None` if there is
    /// none. The caller still has to remove its slot from the policy.
    pub(super) fn evict(&mut self, newest: u32, entries: &mut impl Entries) -> Option<u32> {
        loop {
            let crowded = self.small.weight > self.small_target && self.small.entries > 1;
            if !crowded && let Some((slot, last_access)) = self.evict_from_main(newest, entries) {
                self.remember(slot, last_access);
                return Some(slot);
            }
            let slot = self.small.oldest().filter(|slot| *slot != newest)?;
            let hash = self.slab.get(slot).hash;
            if let Some(last_access) = entries.evict_if_unread(hash, slot) {
                self.remember(slot, last_access);
                return Some(slot);
            }
            entries.move_to_main(hash, slot);
            self.move_to(slot, QueueId::Main);
        }
    }

    /// Requeues entries of the main queue until the oldest has no reads, and removes that from the
    /// map. Returns its slot and the time of its last access.
    fn evict_from_main(&mut self, newest: u32, entries: &mut impl Entries) -> Option<(u32, u32)> {
        for round in 0.. {
            let slot = self.main.oldest()?;
            let hash = self.slab.get(slot).hash;
            if slot != newest {
                if round >= MAX_ROUNDS {
                    return Some((slot, entries.evict(hash, slot)));
                }
                if let Some(last_access) = entries.evict_if_unread(hash, slot) {
                    return Some((slot, last_access));
                }
            } else if self.main.entries == 1 {
                return None;
            }
            self.requeue_oldest();
        }
        None
    }

    /// Requeues entries of the main queue until the oldest has no reads. Returns the time of its
    /// last access; `None` if the queue is empty.
    fn victim_last_access(&mut self, entries: &impl Entries) -> Option<u32> {
        for _ in 0..MAX_ROUNDS {
            let slot = self.main.oldest()?;
            let last_access = entries.last_access_if_unread(self.slab.get(slot).hash, slot);
            if last_access.is_some() {
                return last_access;
            }
            self.requeue_oldest();
        }
        Some(self.now())
    }

    /// Gives the oldest entry of the main queue another round.
    fn requeue_oldest(&mut self) {
        let slot = self.main.list.oldest;
        self.main.list.remove::<InQueue>(&mut self.slab, slot);
        self.main.list.push::<InQueue>(&mut self.slab, slot);
    }

    fn remember(&mut self, slot: u32, last_access: u32) {
        let &Node { hash, weight, queue, .. } = self.slab.get(slot);
        let evicted = self.queue_mut(queue).evicted.wrapping_add(weight);
        self.queue_mut(queue).evicted = evicted;
        let evicted_at = Self::ghost_steps(self.steps(evicted));
        self.ghosts.add(hash, Ghost { last_access, queue, evicted_at }, ghosts_for(self.entries()));
    }

    fn enqueue(&mut self, slot: u32, id: QueueId) {
        let node = self.slab.get_mut(slot);
        node.queue = id;
        let weight = node.weight;
        let queue = match id {
            QueueId::Small => &mut self.small,
            QueueId::Main => &mut self.main,
        };
        queue.list.push::<InQueue>(&mut self.slab, slot);
        queue.entries += 1;
        queue.weight += weight;
    }

    fn dequeue(&mut self, slot: u32) {
        let &Node { queue: id, weight, .. } = self.slab.get(slot);
        let queue = match id {
            QueueId::Small => &mut self.small,
            QueueId::Main => &mut self.main,
        };
        queue.list.remove::<InQueue>(&mut self.slab, slot);
        queue.entries -= 1;
        queue.weight -= weight;
    }
}

impl Queue {
    fn new() -> Self {
        Self { list: List::EMPTY, entries: 0, weight: 0, evicted: 0 }
    }

    fn oldest(&self) -> Option<u32> {
        (self.entries > 0).then_some(self.list.oldest)
    }
}

#[cfg(test)]
impl Policy {
    /// Goes through both queues, and looks at every bound.
    pub(super) fn check(&self, capacity: u64) {
        for (id, queue) in [(QueueId::Small, &self.small), (QueueId::Main, &self.main)] {
            let (mut slot, mut count, mut weight) = (queue.list.oldest, 0, 0);
            let mut older = super::slab::NIL;
            while slot != super::slab::NIL {
                let node = self.slab.get(slot);
                assert_eq!((node.queue, node.in_queue.older), (id, older));
                (count, weight) = (count + 1, weight + node.weight);
                (older, slot) = (slot, node.in_queue.newer);
            }
            assert_eq!((count, weight), (queue.entries, queue.weight), "the counts of {id:?}");
        }
        assert_eq!(self.slab.used(), self.entries(), "nodes that stand in no queue");
        let least = (self.share / MIN_SMALL).max(1);
        assert!((least..=(self.share / MAX_SMALL).max(least)).contains(&self.small_target));
        self.ghosts.check(ghosts_for(usize::try_from(capacity).unwrap()));
    }
}
