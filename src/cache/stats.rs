//! What a cache has done.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::EvictionCause;

/// Counters. None of them orders anything, so all accesses are relaxed.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
    pub(super) inserts: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) loads: AtomicU64,
    pub(super) load_failures: AtomicU64,
    replaced: AtomicU64,
    invalidated: AtomicU64,
    expired: AtomicU64,
    capacity: AtomicU64,
    shrunk: AtomicU64,
}

/// What a cache has done since it was made, and what it holds now.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheStats {
    /// Entries, expired ones that were not swept yet included.
    pub entries: u64,
    /// Their weight.
    pub weight: u64,
    /// Largest weight.
    pub capacity: u64,
    /// Keys remembered for having left too early.
    pub ghosts: u64,
    /// Reads that found a value.
    pub hits: u64,
    /// Reads that found none.
    pub misses: u64,
    /// Share of the reads that found a value; 0 without any.
    pub hit_ratio: f64,
    /// Values put.
    pub inserts: u64,
    /// Values refused for their weight.
    pub refused: u64,
    /// Loads that gave a value.
    pub loads: u64,
    /// Loads that failed.
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

impl Counters {
    pub(super) fn count_eviction(&self, cause: EvictionCause) {
        let counter = match cause {
            EvictionCause::Replaced => &self.replaced,
            EvictionCause::Invalidated => &self.invalidated,
            EvictionCause::Expired => &self.expired,
            EvictionCause::Capacity => &self.capacity,
            EvictionCause::Shrunk => &self.shrunk,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(
        &self,
        entries: usize,
        weight: u64,
        capacity: u64,
        ghosts: usize,
    ) -> CacheStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (hits, misses) = (of(&self.hits), of(&self.misses));
        CacheStats {
            entries: entries as u64,
            weight,
            capacity,
            ghosts: ghosts as u64,
            hits,
            misses,
            hit_ratio: ratio(hits, hits + misses),
            inserts: of(&self.inserts),
            refused: of(&self.refused),
            loads: of(&self.loads),
            load_failures: of(&self.load_failures),
            replaced: of(&self.replaced),
            invalidated: of(&self.invalidated),
            expired: of(&self.expired),
            evicted: of(&self.capacity),
            shrunk: of(&self.shrunk),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a ratio for people to read")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
