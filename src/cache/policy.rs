//! Which entry goes next: two queues, ghosts, and the order of expiry.
//!
//! Nodes of entries that have left stay in their queue until they come to its head; a queue is
//! swept when they outnumber the live ones.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use super::entry::{Entry, Queue};

/// The small queue's share of the capacity: one part in this many.
const SMALL_SHARE: u64 = 10;
/// Queues shorter than this are not swept.
const MIN_SWEEP: usize = 64;

pub(super) struct Policy<K> {
    small: Line<K>,
    main: Line<K>,
    ghosts: VecDeque<u64>,
    ghost_set: HashMap<u64, u32, foldhash::fast::FixedState>,
    /// Entries by expiry and generation.
    expiries: BTreeMap<(Duration, u64), K>,
    tags: HashMap<String, HashSet<K>>,
    tag_of: HashMap<u64, String>,
    small_capacity: u64,
    generation: u64,
}

/// One queue.
struct Line<K> {
    nodes: VecDeque<Node<K>>,
    live: usize,
    weight: u64,
}

struct Node<K> {
    key: K,
    hash: u64,
    generation: u64,
}

/// The entry that goes next.
pub(super) struct Victim<K, V> {
    pub(super) key: K,
    pub(super) entry: Arc<Entry<V>>,
}

impl<K: Hash + Eq + Clone> Policy<K> {
    pub(super) fn new(capacity: u64) -> Self {
        Self {
            small: Line::new(),
            main: Line::new(),
            ghosts: VecDeque::new(),
            ghost_set: HashMap::default(),
            expiries: BTreeMap::new(),
            tags: HashMap::new(),
            tag_of: HashMap::new(),
            small_capacity: (capacity / SMALL_SHARE).max(1),
            generation: 0,
        }
    }

    pub(super) fn weight(&self) -> u64 {
        self.small.weight + self.main.weight
    }

    pub(super) fn ghosts(&self) -> usize {
        self.ghosts.len()
    }

    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// The queue for a new entry: the main one if it left the small one not long ago.
    pub(super) fn admit(&self, hash: u64) -> Queue {
        if self.ghost_set.contains_key(&hash) { Queue::Main } else { Queue::Small }
    }

    /// Takes up an entry that was put into the map.
    pub(super) fn add<V>(&mut self, key: K, hash: u64, entry: &Entry<V>, tag: Option<String>) {
        if let Some(at) = entry.expires {
            self.expiries.insert((at, entry.generation), key.clone());
        }
        if let Some(tag) = tag {
            self.tags.entry(tag.clone()).or_default().insert(key.clone());
            self.tag_of.insert(entry.generation, tag);
        }
        let line = match entry.queue() {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        };
        line.push(Node { key, hash, generation: entry.generation }, entry.weight);
    }

    /// Lets go of an entry that was taken from the map.
    pub(super) fn forget<V>(&mut self, key: &K, entry: &Entry<V>) {
        let line = match entry.queue() {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        };
        line.weight -= entry.weight;
        line.live -= 1;
        if let Some(at) = entry.expires {
            self.expiries.remove(&(at, entry.generation));
        }
        if let Some(tag) = self.tag_of.remove(&entry.generation)
            && let Some(keys) = self.tags.get_mut(&tag)
        {
            keys.remove(key);
            if keys.is_empty() {
                self.tags.remove(&tag);
            }
        }
    }

    pub(super) fn take_tag(&mut self, tag: &str) -> HashSet<K> {
        self.tags.get(tag).cloned().unwrap_or_default()
    }

    /// The key of an entry that has expired by `now`.
    pub(super) fn first_expired(&mut self, now: Duration) -> Option<K> {
        let first = self.expiries.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Chooses the entry to evict. `lookup` finds the entry that is under a key now.
    pub(super) fn victim<V>(
        &mut self,
        lookup: impl Fn(&K) -> Option<Arc<Entry<V>>>,
    ) -> Option<Victim<K, V>> {
        self.small.sweep(&lookup);
        self.main.sweep(&lookup);
        loop {
            let from_small = self.small.weight > self.small_capacity || self.main.live == 0;
            let line = if from_small { &mut self.small } else { &mut self.main };
            let node = line.nodes.pop_front()?;
            let Some(entry) = lookup(&node.key).filter(|e| e.generation == node.generation) else {
                continue;
            };
            if entry.spend_read() {
                if from_small {
                    self.small.weight -= entry.weight;
                    self.small.live -= 1;
                    entry.move_to_main();
                    self.main.push(node, entry.weight);
                } else {
                    line.nodes.push_back(node);
                }
                continue;
            }
            if from_small {
                self.remember(node.hash);
            }
            return Some(Victim { key: node.key, entry });
        }
    }

    /// Remembers that an entry left the small queue; as many as there are entries in the main one.
    fn remember(&mut self, hash: u64) {
        self.ghosts.push_back(hash);
        *self.ghost_set.entry(hash).or_insert(0) += 1;
        while self.ghosts.len() > self.main.live.max(1) {
            let Some(oldest) = self.ghosts.pop_front() else { break };
            if let Some(count) = self.ghost_set.get_mut(&oldest) {
                *count -= 1;
                if *count == 0 {
                    self.ghost_set.remove(&oldest);
                }
            }
        }
    }
}

impl<K> Line<K> {
    fn new() -> Self {
        Self { nodes: VecDeque::new(), live: 0, weight: 0 }
    }

    fn push(&mut self, node: Node<K>, weight: u64) {
        self.nodes.push_back(node);
        self.live += 1;
        self.weight += weight;
    }

    /// Drops the nodes of entries that have left, once they outnumber the live ones.
    fn sweep<V>(&mut self, lookup: &impl Fn(&K) -> Option<Arc<Entry<V>>>) {
        if self.nodes.len() < MIN_SWEEP || self.nodes.len() < 2 * self.live {
            return;
        }
        self.nodes
            .retain(|node| lookup(&node.key).is_some_and(|e| e.generation == node.generation));
    }
}
