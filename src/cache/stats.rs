//! Counters of a cache.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;
use serde::{Deserialize, Serialize};

use super::EvictionCause;
use crate::thread_slot;

/// Threads that count their reads in a cell of their own.
const COUNTER_CELLS: usize = 64;

/// Counters of a cache since it was made, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct CacheStats {
    /// Entries, including expired ones that are not swept yet.
    pub entries: u64,
    /// Total weight of the entries, in the weigher's unit.
    pub weight: u64,
    /// Largest total weight.
    pub capacity: u64,
    /// Ghost entries: keys evicted or expired not long ago that are remembered.
    pub ghosts: u64,
    /// Reads that found a fresh value or a known absence.
    pub hits: u64,
    /// Those of `hits` that found a known absence.
    pub negative_hits: u64,
    /// Reads that got a stale value, while it was reloaded or because that failed.
    pub stale_hits: u64,
    /// Reads that found nothing, or only a stale value that they had to reload.
    pub misses: u64,
    /// `hits` and `stale_hits` as a fraction of all reads, from 0 to 1; 0 without reads.
    pub hit_ratio: f64,
    /// Entries inserted.
    pub inserts: u64,
    /// Entries refused, nearly always for their weight.
    pub refused: u64,
    /// Loads that returned a value or a known absence.
    pub loads: u64,
    /// Loads that failed or panicked.
    pub load_failures: u64,
    /// Entries replaced by another under the same key.
    pub replaced: u64,
    /// Entries invalidated by key or tag, or cleared.
    pub invalidated: u64,
    /// Entries that expired.
    pub expired: u64,
    /// Entries evicted to make room.
    pub evicted: u64,
    /// Entries evicted by [`shrink_to`](super::Cache::shrink_to).
    pub shrunk: u64,
}

/// Counters of reads, in cells of one thread each as far as they go, and of loads. None of them
/// orders anything, so all accesses are relaxed.
#[derive(Debug)]
pub(super) struct Counters {
    reads: Box<[CachePadded<Reads>]>,
    pub(super) loads: AtomicU64,
    pub(super) load_failures: AtomicU64,
}

/// Reads by one thread, or by all threads without a cell of their own.
#[derive(Debug, Default)]
struct Reads {
    hits: AtomicU64,
    negative_hits: AtomicU64,
    stale_hits: AtomicU64,
    misses: AtomicU64,
}

/// The outcome of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Hit,
    NegativeHit,
    StaleHit,
    Miss,
}

/// The cell of the threads that have none of their own.
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
            // Only this thread writes here, so no count is lost between load and store. A locked
            // instruction would stall the memory accesses of the next read.
            counter.store(counter.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        }
    }

    /// The reads and loads; the caller fills in the rest.
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

/// Entries removed, by cause.
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
