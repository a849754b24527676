//! The nodes of a policy shard: one for each entry, in a queue and in a bucket of the wheel.
//!
//! Links are indices into the slab, and free nodes are on a list of their own. So a stale index
//! never points to freed memory, and the lists need no unsafe code.

use super::millis::{Millis, NEVER};

/// No node.
pub(super) const NIL: u32 = u32::MAX;

/// The queue that a node is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueueId {
    Small,
    Main,
}

/// The neighbours of a node in one list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) older: u32,
    pub(super) newer: u32,
}

/// In no list.
pub(super) const UNLINKED: Links = Links { older: NIL, newer: NIL };

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) hash: u64,
    pub(super) weight: u64,
    pub(super) queue: QueueId,
    /// Whether the entry has tags.
    pub(super) tagged: bool,
    /// Whether there is an entry.
    pub(super) live: bool,
    /// The wheel's bucket, if it is in one, and when it comes due. They outlive the entry: a reused
    /// node stays in the wheel and is checked when it comes due.
    pub(super) bucket: Option<u16>,
    pub(super) deadline: Millis,
    pub(super) in_queue: Links,
    pub(super) in_bucket: Links,
}

/// Selects the links of a node: those of its queue or those of the wheel.
pub(super) trait LinkField {
    fn links(node: &mut Node) -> &mut Links;
}

#[derive(Debug)]
pub(super) struct InQueue;

impl LinkField for InQueue {
    fn links(node: &mut Node) -> &mut Links {
        &mut node.in_queue
    }
}

#[derive(Debug)]
pub(super) struct InBucket;

impl LinkField for InBucket {
    fn links(node: &mut Node) -> &mut Links {
        &mut node.in_bucket
    }
}

#[derive(Debug)]
pub(super) struct Slab {
    nodes: Vec<Node>,
    /// Head of the list of free nodes, linked by `in_line.newer`.
    free: u32,
}

impl Default for Slab {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: NIL }
    }
}

impl Slab {
    /// A slot for an entry; `None` when all 2^32 - 1 are taken.
    pub(super) fn add(
        &mut self,
        hash: u64,
        weight: u64,
        queue: QueueId,
        tagged: bool,
    ) -> Option<u32> {
        let mut node = Node {
            hash,
            weight,
            queue,
            tagged,
            live: true,
            bucket: None,
            deadline: NEVER,
            in_queue: UNLINKED,
            in_bucket: UNLINKED,
        };
        if self.free != NIL {
            let slot = self.free;
            let old = self.get_mut(slot);
            let free = old.in_queue.newer;
            (node.bucket, node.deadline) = (old.bucket, old.deadline);
            node.in_bucket = old.in_bucket;
            *old = node;
            self.free = free;
            return Some(slot);
        }
        let slot = u32::try_from(self.nodes.len()).ok().filter(|slot| *slot != NIL)?;
        self.nodes.push(node);
        Some(slot)
    }

    pub(super) fn free(&mut self, slot: u32) {
        let free = self.free;
        let node = self.get_mut(slot);
        node.live = false;
        node.in_queue = Links { older: NIL, newer: free };
        self.free = slot;
    }

    pub(super) fn get(&self, slot: u32) -> &Node {
        &self.nodes[slot as usize]
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> &mut Node {
        &mut self.nodes[slot as usize]
    }
}

#[cfg(test)]
impl Slab {
    /// How many nodes are not free.
    pub(super) fn used(&self) -> usize {
        let some = |slot: u32| (slot != NIL).then_some(slot);
        let free =
            std::iter::successors(some(self.free), |slot| some(self.get(*slot).in_queue.newer));
        self.nodes.len() - free.count()
    }

    /// How many nodes are marked as in a bucket of the wheel.
    pub(super) fn in_buckets(&self) -> usize {
        self.nodes.iter().filter(|node| node.bucket.is_some()).count()
    }
}

/// A doubly linked list of nodes, by its two ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct List {
    pub(super) oldest: u32,
    newest: u32,
}

impl List {
    pub(super) const EMPTY: Self = Self { oldest: NIL, newest: NIL };

    pub(super) fn push<S: LinkField>(&mut self, slab: &mut Slab, slot: u32) {
        *S::links(slab.get_mut(slot)) = Links { older: self.newest, newer: NIL };
        match self.newest {
            NIL => self.oldest = slot,
            newest => S::links(slab.get_mut(newest)).newer = slot,
        }
        self.newest = slot;
    }

    pub(super) fn remove<S: LinkField>(&mut self, slab: &mut Slab, slot: u32) {
        let Links { older, newer } = std::mem::replace(S::links(slab.get_mut(slot)), UNLINKED);
        match older {
            NIL => self.oldest = newer,
            older => S::links(slab.get_mut(older)).newer = newer,
        }
        match newer {
            NIL => self.newest = older,
            newer => S::links(slab.get_mut(newer)).older = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(slab: &Slab, list: List) -> Vec<u32> {
        let some = |slot: u32| (slot != NIL).then_some(slot);
        let next = |slot: &u32| some(slab.get(*slot).in_queue.newer);
        std::iter::successors(some(list.oldest), next).collect()
    }

    #[test]
    fn lists_keep_their_order_and_slots_are_used_again() {
        let (mut slab, mut list) = (Slab::default(), List::EMPTY);
        for hash in 0..4 {
            let slot = slab.add(hash, 1, QueueId::Small, false).unwrap();
            list.push::<InQueue>(&mut slab, slot);
        }
        assert_eq!(order(&slab, list), [0, 1, 2, 3]);
        for (gone, left) in [(1, vec![0, 2, 3]), (0, vec![2, 3]), (3, vec![2])] {
            list.remove::<InQueue>(&mut slab, gone);
            slab.free(gone);
            assert_eq!(order(&slab, list), left);
        }
        for slot in [3, 0, 1, 4] {
            assert_eq!(slab.add(9, 1, QueueId::Main, false), Some(slot));
        }
        list.remove::<InQueue>(&mut slab, 2);
        assert_eq!(list.oldest, NIL);
    }
}
