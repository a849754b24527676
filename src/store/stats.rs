//! Counters of a store and their snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use serde::Serialize;

use crate::histogram::Histogram;
use crate::thread_slot;

/// Stripes of what reading threads count, so that they do not share a cache line.
pub(super) const STRIPES: usize = 8;

/// Statistics of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StoreStats {
    /// Number of keys in each keyspace, including expired ones that are not yet removed.
    pub keys: BTreeMap<String, u64>,
    /// Segment files.
    pub segments: u64,
    /// Bytes in segments that keys point to.
    pub live_bytes: u64,
    /// Bytes in segments that hold records, live or not.
    pub total_bytes: u64,
    /// Sequence number of the newest group that is durable and visible.
    pub sequence: u64,
    /// Groups written since the store was opened.
    pub groups: u64,
    /// Batches written since the store was opened.
    pub batches: u64,
    /// Flushes of the log since the store was opened.
    pub flushes: u64,
    /// Checkpoints of the index since the store was opened.
    pub checkpoints: u64,
    /// Median time of a flush in microseconds, rounded up by at most an eighth.
    pub flush_p50_micros: u64,
    /// 99th percentile of the time of a flush in microseconds, rounded up by at most an eighth.
    pub flush_p99_micros: u64,
    /// Longest flush in microseconds.
    pub flush_max_micros: u64,
    /// Longest checkpoint in microseconds.
    pub checkpoint_max_micros: u64,
    /// Values looked up by key since the store was opened.
    pub reads: u64,
    /// Rows visited by iterators since the store was opened, counted when an iterator is dropped.
    pub rows_scanned: u64,
    /// Look-ups answered by the pointer cache.
    pub pointer_hits: u64,
    /// Look-ups not answered by the pointer cache, or only by an outdated entry, including look-ups
    /// of values stored in the index itself.
    pub pointer_misses: u64,
    /// Compression dictionaries in use.
    pub dictionaries: u64,
    /// Segment files removed since the store was opened.
    pub segments_reclaimed: u64,
    /// Records moved out of segments with much dead data since the store was opened.
    pub records_moved: u64,
    /// Bytes of the records moved.
    pub bytes_moved: u64,
    /// Bytes of queued batches.
    pub queued_bytes: u64,
    /// Batches delayed, by up to 50 ms each, because space was used faster than it was reclaimed.
    pub slowed_batches: u64,
}

/// What the threads count. All orderings are Relaxed: the counters order nothing.
#[derive(Debug)]
pub(super) struct Counters {
    groups: AtomicU64,
    batches: AtomicU64,
    checkpoints: AtomicU64,
    checkpoint_max: AtomicU64,
    flushes: Histogram,
    reads: [CachePadded<AtomicU64>; STRIPES],
    rows_scanned: AtomicU64,
    segments_reclaimed: AtomicU64,
    records_moved: AtomicU64,
    bytes_moved: AtomicU64,
    /// Segments that cannot be reclaimed because something in them is damaged.
    pub(super) broken: Mutex<BTreeSet<u32>>,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            groups: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            checkpoints: AtomicU64::new(0),
            checkpoint_max: AtomicU64::new(0),
            flushes: Histogram::new(),
            reads: std::array::from_fn(|_| CachePadded::default()),
            rows_scanned: AtomicU64::new(0),
            segments_reclaimed: AtomicU64::new(0),
            records_moved: AtomicU64::new(0),
            bytes_moved: AtomicU64::new(0),
            broken: Mutex::default(),
        }
    }
}

impl Counters {
    /// Counts a group and its flush.
    pub(super) fn flushed(&self, took: Duration, batches: usize) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.batches.fetch_add(batches as u64, Ordering::Relaxed);
        self.flushes.record(took);
    }

    /// Counts a checkpoint.
    pub(super) fn checkpointed(&self, took: Duration) {
        self.checkpoints.fetch_add(1, Ordering::Relaxed);
        self.checkpoint_max.fetch_max(micros(took), Ordering::Relaxed);
    }

    /// Counts lookups.
    pub(super) fn read(&self, keys: usize) {
        if let Some(counter) = self.reads.get(stripe()) {
            counter.fetch_add(keys as u64, Ordering::Relaxed);
        }
    }

    /// Counts segment files removed.
    pub(super) fn reclaimed(&self, segments: usize) {
        self.segments_reclaimed.fetch_add(segments as u64, Ordering::Relaxed);
    }

    /// Counts records moved.
    pub(super) fn moved(&self, records: u32, bytes: usize) {
        self.records_moved.fetch_add(records.into(), Ordering::Relaxed);
        self.bytes_moved.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts the rows of one iterator.
    pub(super) fn scanned(&self, rows: u64) {
        self.rows_scanned.fetch_add(rows, Ordering::Relaxed);
    }

    /// Writes the counters into `stats`.
    pub(super) fn fill(&self, stats: &mut StoreStats) {
        let flushes = self.flushes.percentiles();
        stats.groups = self.groups.load(Ordering::Relaxed);
        stats.batches = self.batches.load(Ordering::Relaxed);
        stats.flushes = flushes.count;
        stats.rows_scanned = self.rows_scanned.load(Ordering::Relaxed);
        stats.segments_reclaimed = self.segments_reclaimed.load(Ordering::Relaxed);
        stats.records_moved = self.records_moved.load(Ordering::Relaxed);
        stats.bytes_moved = self.bytes_moved.load(Ordering::Relaxed);
        stats.checkpoints = self.checkpoints.load(Ordering::Relaxed);
        stats.checkpoint_max_micros = self.checkpoint_max.load(Ordering::Relaxed);
        stats.flush_p50_micros = micros(flushes.p50);
        stats.flush_p99_micros = micros(flushes.p99);
        stats.flush_max_micros = micros(flushes.max);
        stats.reads = self.reads.iter().map(|stripe| stripe.load(Ordering::Relaxed)).sum();
    }
}

/// The stripe of this thread, below [`STRIPES`].
#[inline]
pub(super) fn stripe() -> usize {
    thread_slot::number() % STRIPES
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_times_counted() {
        let counters = Counters::default();
        for micros in 1..=1000 {
            counters.flushed(Duration::from_micros(micros), 2);
        }
        counters.read(3);
        let mut stats = StoreStats::default();
        counters.fill(&mut stats);
        assert_eq!((stats.groups, stats.batches, stats.flushes), (1000, 2000, 1000));
        assert!((500..=640).contains(&stats.flush_p50_micros), "{}", stats.flush_p50_micros);
        assert!((990..=1000).contains(&stats.flush_p99_micros), "{}", stats.flush_p99_micros);
        assert_eq!((stats.flush_max_micros, stats.reads), (1000, 3));
    }
}
