//! What a cache has done.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use serde::{Deserialize, Serialize};

use super::EvictionCause;
use crate::thread_slot;

/// Threads that count their reads in a place of their own.
const COUNTER_CELLS: usize = 64;

/// What a cache has done since it was made, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Entries, expired ones that were not swept yet included.
    pub entries: u64,
    /// Their weight.
    pub weight: u64,
    /// Largest weight.
    pub capacity: u64,
    /// Keys remembered for having been evicted not long ago.
    pub ghosts: u64,
    /// Reads that found a fresh value, or the word that there is none.
    pub hits: u64,
    /// Those of them that found the word that there is no value.
    pub negative_hits: u64,
    /// Reads that were given a stale value while it was loaded anew.
    pub stale_hits: u64,
    /// Reads that found nothing.
    pub misses: u64,
    /// Share of the reads that found something, stale or fresh; 0 without any.
    pub hit_ratio: f64,
    /// Values put.
    pub inserts: u64,
    /// Values refused for their weight.
    pub refused: u64,
    /// Loads that gave a value or the word that there is none.
    pub loads: u64,
    /// Loads that failed or panicked.
    pub load_failures: u64,
    /// Entries that another value replaced.
    pub replaced: u64,
    /// Entries taken out.
    pub invalidated: u64,
    /// Entries that expired.
    pub expired: u64,
    /// Entries evicted to make room.
    pub evicted: u64,
    /// Entries evicted to shrink.
    pub shrunk: u64,
}

/// Counters of reads, apart for each thread as far as possible, and of loads. None of them orders
/// anything, so all accesses are relaxed.
#[derive(Debug)]
pub(super) struct Counters {
    reads: Box<[CachePadded<Reads>]>,
    pub(super) loads: AtomicU64,
    pub(super) load_failures: AtomicU64,
}

/// Reads by one thread, or by all those without a place of their own.
#[derive(Debug, Default)]
struct Reads {
    hits: AtomicU64,
    negative_hits: AtomicU64,
    stale_hits: AtomicU64,
    misses: AtomicU64,
}

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Hit,
    NegativeHit,
    StaleHit,
    Miss,
}

/// The place of the threads that have none of their own.
const SHARED: usize = COUNTER_CELLS;

impl Default for Counters {
    fn default() -> Self {
        let reads = (0..=COUNTER_CELLS).map(|_| CachePadded::default()).collect();
        Self { reads, loads: AtomicU64::new(0), load_failures: AtomicU64::new(0) }
    }
}

impl Counters {
    #[inline]
    pub(super) fn count(&self, outcome: Outcome) {
        let cell = thread_slot::number().min(SHARED);
        let reads = &self.reads[cell];
        let counter = match outcome {
            Outcome::Hit => &reads.hits,
            Outcome::NegativeHit => &reads.negative_hits,
            Outcome::StaleHit => &reads.stale_hits,
            Outcome::Miss => &reads.misses,
        };
        if cell == SHARED {
            counter.fetch_add(1, Ordering::Relaxed);
        } else {
            // Nobody else writes here, so nothing is lost between the two, and no lock of the bus
            // keeps the next read's memory accesses waiting.
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// The reads and loads; what is held and what has left is for others to fill in.
    pub(super) fn snapshot(&self) -> CacheStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sum = |field: fn(&Reads) -> &AtomicU64| self.reads.iter().map(|r| of(field(r))).sum();
        let negative_hits: u64 = sum(|reads| &reads.negative_hits);
        let hits: u64 = sum(|reads| &reads.hits) + negative_hits;
        let (stale_hits, misses) = (sum(|reads| &reads.stale_hits), sum(|reads| &reads.misses));
        CacheStats {
            hits,
            negative_hits,
            stale_hits,
            misses,
            hit_ratio: ratio(hits + stale_hits, hits + stale_hits + misses),
            loads: of(&self.loads),
            load_failures: of(&self.load_failures),
            ..CacheStats::default()
        }
    }
}

/// Entries that left, by cause.
#[derive(Clone, Debug, Default)]
pub(super) struct Removals {
    replaced: u64,
    invalidated: u64,
    expired: u64,
    evicted: u64,
    shrunk: u64,
}

impl Removals {
    pub(super) fn count(&mut self, cause: EvictionCause) {
        let counter = match cause {
            EvictionCause::Replaced => &mut self.replaced,
            EvictionCause::Invalidated => &mut self.invalidated,
            EvictionCause::Expired => &mut self.expired,
            EvictionCause::Capacity => &mut self.evicted,
            EvictionCause::Shrunk => &mut self.shrunk,
        };
        *counter += 1;
    }

    pub(super) fn add_to(&self, stats: &mut CacheStats) {
        stats.replaced += self.replaced;
        stats.invalidated += self.invalidated;
        stats.expired += self.expired;
        stats.evicted += self.evicted;
        stats.shrunk += self.shrunk;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_read_is_lost_however_many_threads_come_and_go() {
        let counters = Counters::default();
        for _ in 0..3 {
            std::thread::scope(|scope| {
                for _ in 0..2 * COUNTER_CELLS {
                    scope.spawn(|| (0..100).for_each(|_| counters.count(Outcome::Hit)));
                }
            });
        }
        assert_eq!(counters.snapshot().hits, 3 * 2 * COUNTER_CELLS as u64 * 100);
    }
}
