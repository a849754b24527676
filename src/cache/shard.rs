//! A policy shard: what one lock guards, for a part of the hashes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::{FixedState, RandomState};
use parking_lot::Mutex;

use super::entry::{Entry, EvictionCause};
use super::flight::Flight;
use super::policy::Policy;
use super::slab::QueueId;
use super::stats::Removals;

/// Write counters in a shard. Keys with the same counter share their generation.
const GENERATIONS: usize = 4096;

/// A shard, and the figures of it that are readable without its lock.
#[derive(Debug)]
pub(super) struct ShardCell<K, V> {
    pub(super) state: Mutex<Shard<K, V>>,
    pub(super) published: Published,
}

/// Copies of the policy's figures, written under the shard's lock. Readers take them as hints or as
/// a snapshot, so all accesses are relaxed.
#[derive(Debug, Default)]
pub(super) struct Published {
    now: AtomicU32,
    correlated: AtomicU32,
    pub(super) weight: AtomicU64,
    pub(super) entries: AtomicUsize,
}

#[derive(Debug)]
pub(super) struct Shard<K, V> {
    pub(super) policy: Policy,
    pub(super) tags: Tags,
    /// The loads under way whose result will be stored. A write under their key removes them.
    pub(super) flights: HashMap<K, Arc<Flight<V>>, RandomState>,
    pub(super) removals: Removals,
    pub(super) inserts: u64,
    pub(super) refused: u64,
    /// Empty until a generation is first asked for: most caches never do.
    generations: Vec<u32>,
}

impl<K, V> ShardCell<K, V> {
    pub(super) fn new(share: u64) -> Self {
        let state = Shard {
            policy: Policy::new(share),
            tags: Tags::default(),
            flights: HashMap::default(),
            removals: Removals::default(),
            inserts: 0,
            refused: 0,
            generations: Vec::new(),
        };
        let published = Published::default();
        published.publish(&state.policy);
        Self { state: Mutex::new(state), published }
    }
}

impl Published {
    /// Publishes what has changed. Each store takes the cache line from every reader, and all hits
    /// read it, so the clock is published only once it has moved enough to matter.
    pub(super) fn publish(&self, policy: &Policy) {
        let (now, shown) = (policy.now(), self.now.load(Ordering::Relaxed));
        if now.wrapping_sub(shown) > policy.lateness() {
            self.now.store(now, Ordering::Relaxed);
        }
        set(policy.correlated(), self.correlated.load(Ordering::Relaxed), |new| {
            self.correlated.store(new, Ordering::Relaxed);
        });
        set(policy.weight(), self.weight.load(Ordering::Relaxed), |new| {
            self.weight.store(new, Ordering::Relaxed);
        });
        set(policy.entries(), self.entries.load(Ordering::Relaxed), |new| {
            self.entries.store(new, Ordering::Relaxed);
        });
    }

    #[inline]
    pub(super) fn note_read<V>(&self, entry: &Entry<V>) {
        let (now, correlated) =
            (self.now.load(Ordering::Relaxed), self.correlated.load(Ordering::Relaxed));
        entry.note_read(now, correlated);
    }
}

/// Stores only a changed value, since the cache line is shared with readers.
fn set<T: PartialEq + Copy>(new: T, old: T, store: impl FnOnce(T)) {
    if new != old {
        store(new);
    }
}

impl<K, V> Shard<K, V> {
    /// The number of writes under this key since the first such question, and under those that
    /// share its counter.
    pub(super) fn generation(&mut self, hash: u64) -> u32 {
        if self.generations.is_empty() {
            self.generations = vec![0; GENERATIONS];
        }
        self.generations[Self::counter(hash)]
    }

    pub(super) fn count_write(&mut self, hash: u64) {
        if let Some(count) = self.generations.get_mut(Self::counter(hash)) {
            *count = count.wrapping_add(1);
        }
    }

    pub(super) fn count_write_to_all(&mut self) {
        self.generations.iter_mut().for_each(|count| *count = count.wrapping_add(1));
    }

    /// Uses low bits of the hash; high ones choose the shard.
    #[expect(clippy::cast_possible_truncation, reason = "fewer bits are meant")]
    fn counter(hash: u64) -> usize {
        hash as usize % GENERATIONS
    }

    /// Removes an entry that is no longer in the map from the policy, and counts it. Returns its
    /// queue.
    pub(super) fn forget(&mut self, slot: u32, cause: EvictionCause) -> QueueId {
        let node = self.policy.remove(slot);
        if node.tagged {
            self.tags.remove(slot);
        }
        self.removals.count(cause);
        node.queue
    }
}

/// Which entries have which tags, by slot.
#[derive(Debug, Default)]
pub(super) struct Tags {
    slots: HashMap<Arc<str>, HashSet<u32, FixedState>, RandomState>,
    tags: HashMap<u32, Vec<Arc<str>>, FixedState>,
}

impl Tags {
    pub(super) fn add(&mut self, slot: u32, tags: Vec<String>) {
        let tags: Vec<Arc<str>> = tags.into_iter().map(Arc::from).collect();
        for tag in &tags {
            self.slots.entry(Arc::clone(tag)).or_default().insert(slot);
        }
        self.tags.insert(slot, tags);
    }

    fn remove(&mut self, slot: u32) {
        for tag in self.tags.remove(&slot).unwrap_or_default() {
            if let Some(slots) = self.slots.get_mut(&tag) {
                slots.remove(&slot);
                if slots.is_empty() {
                    self.slots.remove(&tag);
                }
            }
        }
    }

    pub(super) fn slots(&self, tag: &str) -> Vec<u32> {
        self.slots.get(tag).map(|slots| slots.iter().copied().collect()).unwrap_or_default()
    }
}

#[cfg(test)]
impl Tags {
    pub(super) fn has(&self, slot: u32) -> bool {
        self.tags.contains_key(&slot)
    }

    /// Both directions agree; returns how many entries have tags.
    pub(super) fn check(&self) -> usize {
        let of_tag = |(tag, slots): (&Arc<str>, &HashSet<u32, FixedState>)| {
            assert!(slots.iter().all(|slot| self.tags[slot].contains(tag)));
            assert!(!slots.is_empty(), "a tag that nobody has");
            slots.len()
        };
        let distinct = |tags: &Vec<Arc<str>>| tags.iter().collect::<HashSet<_>>().len();
        let pairs: usize = self.slots.iter().map(of_tag).sum();
        assert_eq!(pairs, self.tags.values().map(distinct).sum::<usize>());
        self.tags.len()
    }
}

#[cfg(test)]
impl Published {
    pub(super) fn check(&self, policy: &Policy) {
        let of = |figure: &AtomicU32| figure.load(Ordering::Relaxed);
        assert_eq!(self.weight.load(Ordering::Relaxed), policy.weight());
        assert_eq!(self.entries.load(Ordering::Relaxed), policy.entries());
        assert_eq!(of(&self.correlated), policy.correlated());
        assert!(policy.now().wrapping_sub(of(&self.now)) <= policy.lateness());
    }
}
