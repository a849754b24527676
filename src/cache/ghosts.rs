//! Ghost entries: keys removed not long ago, remembered by hash.
//!
//! Every miss reads here and every eviction writes here, so what counts is the number of cache
//! misses of the processor. Ghosts are written into a ring in order, which is nearly free. An index
//! maps a hash to its position in the ring. It takes four bytes a ghost, and a set of eight fills
//! half a cache line. Twelve bits of the hash in each cell rule out most keys that have no ghost
//! without reading the ring.

use super::slab::QueueId;

/// Cells of a set of the index; a further ghost with the same set replaces the oldest.
const WAYS: usize = 8;
/// Average number of ghosts in a set of the index.
const LOAD: usize = 6;
/// Bits of an index cell that hold the position in the ring; the rest are bits of the hash.
const POSITION_BITS: u32 = 20;
/// Most ghosts, since positions are counted from 1 in `POSITION_BITS` bits.
const MAX_GHOSTS: u32 = (1 << POSITION_BITS) - 1;
/// Ring and index are reallocated, and start empty, when the bound has grown by one part in this
/// many or has halved.
const GROWTH: usize = 4;

/// An entry that was evicted, or has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ghost {
    /// The policy's time of its last read or its insertion.
    pub(super) last_access: u32,
    /// The queue it was in.
    pub(super) queue: QueueId,
    /// Weight evicted from that queue up to its own eviction, in 31 bits.
    pub(super) evicted_at: u32,
}

#[derive(Debug, Default)]
pub(super) struct Ghosts {
    ring: Vec<Record>,
    index: Vec<[u32; WAYS]>,
    /// Position of the next ghost, which replaces the oldest.
    next: usize,
    len: usize,
}

/// A ghost in the ring; empty if the hash is 0.
#[derive(Clone, Copy, Debug, Default)]
struct Record {
    hash: u64,
    last_access: u32,
    /// `evicted_at`, and in the lowest bit whether it was in the main queue.
    mark: u32,
}

impl Record {
    fn of(hash: u64, ghost: Ghost) -> Self {
        let mark = ghost.evicted_at << 1 | u32::from(ghost.queue == QueueId::Main);
        Self { hash, last_access: ghost.last_access, mark }
    }

    fn ghost(self) -> Ghost {
        let queue = if self.mark & 1 == 1 { QueueId::Main } else { QueueId::Small };
        Ghost { last_access: self.last_access, queue, evicted_at: self.mark >> 1 }
    }
}

impl Ghosts {
    /// Adds a ghost, keeping about `bound` of them.
    pub(super) fn add(&mut self, hash: u64, ghost: Ghost, bound: usize) {
        let (bound, laid_out) = (bound.min(MAX_GHOSTS as usize), self.ring.len());
        if bound > laid_out + laid_out / GROWTH || bound < laid_out / 2 {
            *self = Self {
                ring: vec![Record::default(); bound],
                index: vec![[0; WAYS]; bound.div_ceil(LOAD)],
                ..Self::default()
            };
        }
        let hash = hash.max(1);
        let Some(record) = self.ring.get_mut(self.next) else { return };
        // The index may still point to the replaced one; `take` compares the full hash.
        let old = std::mem::replace(record, Record::of(hash, ghost));
        self.len += usize::from(old.hash == 0);
        let cell = cell(hash, self.next);
        self.next = if self.next + 1 == self.ring.len() { 0 } else { self.next + 1 };
        if let Some(cells) = place(&mut self.index, hash) {
            cells.rotate_right(1);
            cells[0] = cell;
        }
    }

    pub(super) fn take(&mut self, hash: u64) -> Option<Ghost> {
        let hash = hash.max(1);
        let cells = place(&mut self.index, hash)?;
        for at in 0..WAYS {
            if cells[at] >> POSITION_BITS != tag(hash) || cells[at] == 0 {
                continue;
            }
            let position = (cells[at] & MAX_GHOSTS) as usize - 1;
            if let Some(record) = self.ring.get_mut(position).filter(|record| record.hash == hash) {
                let record = std::mem::take(record);
                cells[at..].rotate_left(1);
                cells[WAYS - 1] = 0;
                self.len -= 1;
                return Some(record.ghost());
            }
        }
        None
    }

    /// Number of ghosts in the ring. A few of them may no longer be in the index.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
impl Ghosts {
    /// The count is right, and not above what `bound` allows for.
    pub(super) fn check(&self, bound: usize) {
        assert_eq!(self.ring.iter().filter(|record| record.hash != 0).count(), self.len);
        assert!(self.ring.len() <= bound + bound / GROWTH);
    }
}

/// The set of a hash: its low half times the number of sets, shifted down (Lemire, 2019). It
/// replaces a division.
fn place(index: &mut [[u32; WAYS]], hash: u64) -> Option<&mut [u32; WAYS]> {
    let scaled = (hash & u64::from(u32::MAX)) * index.len() as u64;
    index.get_mut(usize::try_from(scaled >> 32).ok()?)
}

/// Bits of a hash that choose neither its set nor its shard.
fn tag(hash: u64) -> u32 {
    (hash >> 32) as u32 & (u32::MAX >> POSITION_BITS)
}

#[expect(clippy::cast_possible_truncation, reason = "positions are below MAX_GHOSTS")]
fn cell(hash: u64, position: usize) -> u32 {
    tag(hash) << POSITION_BITS | (position as u32 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ghost(last_access: u32) -> Ghost {
        Ghost { last_access, queue: QueueId::Main, evicted_at: last_access ^ 0x2A }
    }

    fn hash(number: u64) -> u64 {
        let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        mixed ^ mixed >> 32
    }

    #[test]
    fn a_ghost_is_taken_once_and_as_it_was() {
        let mut ghosts = Ghosts::default();
        assert_eq!(ghosts.take(hash(1)), None);
        ghosts.add(hash(1), ghost(7), 100);
        ghosts.add(0, Ghost { queue: QueueId::Small, ..ghost(8) }, 100);
        assert_eq!(ghosts.len(), 2);
        assert_eq!((ghosts.take(hash(1)), ghosts.take(hash(1))), (Some(ghost(7)), None));
        assert_eq!(ghosts.take(0), Some(Ghost { queue: QueueId::Small, ..ghost(8) }));
        assert_eq!(ghosts.len(), 0);
    }

    #[test]
    fn the_newest_are_held_and_no_more_than_asked_for() {
        let mut ghosts = Ghosts::default();
        (0..10_000).for_each(|number| ghosts.add(hash(number), ghost(0), 1000));
        assert!((900..=1000).contains(&ghosts.len()), "{}", ghosts.len());
        let recent = (9_500..10_000).filter(|number| ghosts.take(hash(*number)).is_some()).count();
        assert!(recent > 450, "{recent} of the newest 500");
        let old = (0..5000).filter(|number| ghosts.take(hash(*number)).is_some()).count();
        assert!(old < 50, "{old} of the oldest 5,000");
    }

    #[test]
    fn the_table_follows_its_bound() {
        let mut ghosts = Ghosts::default();
        for bound in [1000, 1001, 4000, 40, 0, 10] {
            (0..8000).for_each(|number| ghosts.add(hash(number), ghost(0), bound));
            assert!(ghosts.len() <= bound + bound / GROWTH, "{} of {bound}", ghosts.len());
        }
        assert!(ghosts.take(hash(7999)).is_some());
    }

    #[test]
    fn one_that_was_written_over_is_not_found_though_the_index_leads_there() {
        let mut ghosts = Ghosts::default();
        // The same place and tag for all.
        let hash = |number: u64| 1 | number << 60;
        for number in 0..3 {
            ghosts.add(hash(number), ghost(0), 2);
        }
        assert_eq!((ghosts.take(hash(0)), ghosts.len()), (None, 2));
        assert!(ghosts.take(hash(1)).is_some() && ghosts.take(hash(2)).is_some());
        assert_eq!(ghosts.len(), 0);
    }
}
