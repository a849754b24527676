//! When entries expire: a hierarchical timer wheel (Varghese and Lauck, SOSP '87).
//!
//! A tick is 256 ms. An entry is at the level of the highest base-64 digit in which its tick
//! differs from the current one, in the bucket of that digit. When the current tick reaches a
//! bucket of a higher level, its entries cascade to lower levels, a few at each step. An entry
//! comes due once its tick has passed, up to 256 ms after it expired; reads compare the exact time
//! themselves.
//!
//! A node stays in the wheel when its entry is removed and when another reuses it, since it is
//! checked anyway when it comes due. So with one time to live for all, most insertions do not touch
//! the wheel.

use super::millis::{Millis, NEVER};
use super::slab::{InBucket, List, NIL, Slab};

/// Milliseconds of a tick, as a power of two.
const TICK_BITS: u32 = 8;
/// Buckets of a level, as a power of two.
const DIGIT_BITS: u32 = 6;
const BUCKETS: u64 = 1 << DIGIT_BITS;
/// Enough for all digits of any tick, so that no deadline is out of reach.
const LEVELS: usize = (Millis::BITS - TICK_BITS).div_ceil(DIGIT_BITS) as usize;

#[derive(Debug)]
pub(super) struct Wheel {
    /// The buckets of all levels; none until something is scheduled.
    buckets: Vec<List>,
    /// For each level, a bit set of its non-empty buckets.
    occupied: [u64; LEVELS],
    /// All ticks before this one are done.
    tick: u64,
}

impl Default for Wheel {
    fn default() -> Self {
        Self { buckets: Vec::new(), occupied: [0; LEVELS], tick: 0 }
    }
}

/// The digit of `tick` that counts at `level`.
fn digit(tick: u64, level: usize) -> u64 {
    (tick >> (DIGIT_BITS as usize * level)) % BUCKETS
}

impl Wheel {
    /// Schedules `slot` to come due once `deadline` has passed, and not before.
    pub(super) fn schedule(&mut self, slab: &mut Slab, slot: u32, deadline: Millis, now: Millis) {
        self.cancel(slab, slot);
        if deadline == NEVER {
            return;
        }
        if self.occupied == [0; LEVELS] {
            // The wheel is empty, so it can skip ahead.
            self.tick = self.tick.max(now >> TICK_BITS);
            self.buckets.resize(LEVELS << DIGIT_BITS, List::EMPTY);
        }
        slab.get_mut(slot).deadline = deadline;
        self.place(slab, slot);
    }

    /// Removes `slot`, if it is scheduled.
    pub(super) fn cancel(&mut self, slab: &mut Slab, slot: u32) {
        let Some(bucket) = slab.get_mut(slot).bucket.take() else { return };
        let bucket = usize::from(bucket);
        self.buckets[bucket].remove::<InBucket>(slab, slot);
        if self.buckets[bucket].oldest == NIL {
            self.occupied[bucket >> DIGIT_BITS] &= !(1 << (bucket as u64 % BUCKETS));
        }
    }

    /// Removes and returns an entry whose tick has passed by `now`. `None` if there is none, or if
    /// the `moves` run out first: one is spent for each step to a lower level or out of the wheel.
    pub(super) fn take_due(
        &mut self,
        slab: &mut Slab,
        now: Millis,
        moves: &mut usize,
    ) -> Option<u32> {
        let target = now >> TICK_BITS;
        while self.tick < target {
            if let Some(level) = self.level_to_empty() {
                *moves = moves.checked_sub(1)?;
                let slot = self.bucket(level, digit(self.tick, level)).oldest;
                self.cancel(slab, slot);
                self.place(slab, slot);
                continue;
            }
            let slot = self.bucket(0, digit(self.tick, 0)).oldest;
            if slot != NIL {
                *moves = moves.checked_sub(1)?;
                self.cancel(slab, slot);
                return Some(slot);
            }
            self.tick = self.next_occupied().map_or(target, |next| next.min(target));
        }
        None
    }

    fn place(&mut self, slab: &mut Slab, slot: u32) {
        let node = slab.get_mut(slot);
        let tick = (node.deadline >> TICK_BITS).max(self.tick);
        let level = ((tick ^ self.tick).max(1).ilog2() / DIGIT_BITS) as usize;
        let position = digit(tick, level);
        self.occupied[level] |= 1 << position;
        let bucket = (level << DIGIT_BITS) + usize::try_from(position).unwrap_or(0);
        node.bucket = u16::try_from(bucket).ok();
        self.buckets[bucket].push::<InBucket>(slab, slot);
    }

    fn bucket(&self, level: usize, position: u64) -> List {
        let index = (level << DIGIT_BITS) + usize::try_from(position).unwrap_or(0);
        self.buckets.get(index).copied().unwrap_or(List::EMPTY)
    }

    /// The highest level above the lowest whose bucket for the current tick is not empty.
    fn level_to_empty(&self) -> Option<usize> {
        (1..LEVELS).rev().find(|level| self.occupied[*level] >> digit(self.tick, *level) & 1 == 1)
    }

    /// The tick at which the next non-empty bucket begins.
    fn next_occupied(&self) -> Option<u64> {
        (0..LEVELS).find_map(|level| {
            let later = self.occupied[level] & (u64::MAX << digit(self.tick, level) << 1);
            let shift = DIGIT_BITS * u32::try_from(level).ok()?;
            let above = self.tick >> shift >> DIGIT_BITS << DIGIT_BITS;
            (later != 0).then(|| (above | u64::from(later.trailing_zeros())) << shift)
        })
    }
}

#[cfg(test)]
impl Wheel {
    /// Each node is in the bucket that its deadline and the current tick demand, and that it names.
    pub(super) fn check(&self, slab: &Slab) {
        let mut count = 0;
        for (index, list) in self.buckets.iter().enumerate() {
            let (level, position) = (index >> DIGIT_BITS, index as u64 % BUCKETS);
            assert_eq!(self.occupied[level] >> position & 1 == 1, list.oldest != NIL);
            let mut slot = list.oldest;
            while slot != NIL {
                let node = slab.get(slot);
                let tick = (node.deadline >> TICK_BITS).max(self.tick);
                let above = |tick: u64| tick >> (DIGIT_BITS as usize * level) >> DIGIT_BITS;
                assert_eq!(node.bucket.map(usize::from), Some(index));
                assert_eq!((above(tick), digit(tick, level)), (above(self.tick), position));
                assert!(level == 0 || position >= digit(self.tick, level));
                (count, slot) = (count + 1, node.in_bucket.newer);
            }
        }
        assert_eq!(count, slab.in_buckets(), "nodes in no bucket that say they are in one");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::super::slab::QueueId;
    use super::*;

    const TICK: Millis = 1 << TICK_BITS;

    fn slab_of(nodes: u32) -> Slab {
        let mut slab = Slab::default();
        for _ in 0..nodes {
            slab.add(0, 1, QueueId::Small, false).unwrap();
        }
        slab
    }

    fn take(wheel: &mut Wheel, slab: &mut Slab, now: Millis) -> Option<u32> {
        wheel.take_due(slab, now, &mut 1000)
    }

    #[test]
    fn what_is_ages_off_comes_up_in_its_time() {
        let (mut slab, mut wheel) = (slab_of(64), Wheel::default());
        let deadline = |slot: u32| TICK << slot.min(55);
        (0..64).for_each(|slot| wheel.schedule(&mut slab, slot, deadline(slot), 0));
        for slot in 0..64 {
            let mut look = |now: Millis| take(&mut wheel, &mut slab, now);
            assert_eq!(look(deadline(slot) + TICK - 1), None);
            if slot < 55 {
                assert_eq!(look(deadline(slot) + TICK), Some(slot));
            } else {
                assert!(look(deadline(slot) + TICK) >= Some(55));
                break;
            }
        }
    }

    #[test]
    fn a_step_is_bounded_however_much_is_due() {
        let (mut slab, mut wheel) = (slab_of(1000), Wheel::default());
        (0..1000).for_each(|slot| wheel.schedule(&mut slab, slot, 100 * TICK, 0));
        let now = 200 * TICK;
        let mut calls = 0;
        let mut due = 0;
        while due < 1000 {
            calls += 1;
            let mut moves = 32;
            due += usize::from(wheel.take_due(&mut slab, now, &mut moves).is_some());
        }
        // Each entry moves down once, 32 of them a call.
        assert!((1000..1100).contains(&calls), "{calls} calls");
    }

    proptest! {
        #[test]
        fn all_come_up_in_time_and_none_before(
            steps in proptest::collection::vec((0..24_u32, 0..40_u32, 0..200_000_u64), 1..200),
        ) {
            let (mut slab, mut wheel) = (slab_of(24), Wheel::default());
            let mut model: BTreeMap<u32, Millis> = BTreeMap::new();
            let mut now = 0;
            for (slot, scale, amount) in steps {
                match scale {
                    0..=19 => {
                        let deadline = now + (amount << (scale.min(30)));
                        wheel.schedule(&mut slab, slot, deadline, now);
                        model.insert(slot, deadline);
                    }
                    20..=24 => {
                        wheel.cancel(&mut slab, slot);
                        model.remove(&slot);
                    }
                    _ => {
                        now += amount << (scale - 25);
                        while let Some(slot) = take(&mut wheel, &mut slab, now) {
                            let deadline = model.remove(&slot);
                            prop_assert!(deadline.is_some_and(|at| at < now), "{deadline:?} at {now}");
                        }
                        let late = model.values().find(|at| *at >> TICK_BITS < now >> TICK_BITS);
                        prop_assert_eq!(late, None);
                    }
                }
            }
        }
    }
}
