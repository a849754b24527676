//! Counters of a store and their snapshot.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use serde::Serialize;

/// Stripes of what reading threads count, so that they do not share a cache line.
pub(super) const STRIPES: usize = 8;
/// Latency classes per doubling.
const CLASSES_PER_DOUBLING: u64 = 4;
/// Latency classes: from 1 µs to about 18 minutes.
const CLASSES: usize = 120;

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
    /// Median time of a flush in microseconds, rounded up by at most a quarter.
    pub flush_p50_micros: u64,
    /// 99th percentile of the time of a flush in microseconds, rounded up by at most a quarter.
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
    flush_max: AtomicU64,
    flushes: [AtomicU64; CLASSES],
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
            flush_max: AtomicU64::new(0),
            flushes: std::array::from_fn(|_| AtomicU64::new(0)),
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
        let micros = micros(took);
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.batches.fetch_add(batches as u64, Ordering::Relaxed);
        self.flush_max.fetch_max(micros, Ordering::Relaxed);
        if let Some(class) = self.flushes.get(class_of(micros)) {
            class.fetch_add(1, Ordering::Relaxed);
        }
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
        let counts: Vec<u64> =
            self.flushes.iter().map(|class| class.load(Ordering::Relaxed)).collect();
        let total: u64 = counts.iter().sum();
        stats.groups = self.groups.load(Ordering::Relaxed);
        stats.batches = self.batches.load(Ordering::Relaxed);
        stats.flushes = total;
        stats.rows_scanned = self.rows_scanned.load(Ordering::Relaxed);
        stats.segments_reclaimed = self.segments_reclaimed.load(Ordering::Relaxed);
        stats.records_moved = self.records_moved.load(Ordering::Relaxed);
        stats.bytes_moved = self.bytes_moved.load(Ordering::Relaxed);
        stats.checkpoints = self.checkpoints.load(Ordering::Relaxed);
        stats.checkpoint_max_micros = self.checkpoint_max.load(Ordering::Relaxed);
        stats.flush_max_micros = self.flush_max.load(Ordering::Relaxed);
        stats.flush_p50_micros = percentile(&counts, total, 50).min(stats.flush_max_micros);
        stats.flush_p99_micros = percentile(&counts, total, 99).min(stats.flush_max_micros);
        stats.reads = self.reads.iter().map(|stripe| stripe.load(Ordering::Relaxed)).sum();
    }
}

/// The stripe of this thread, below [`STRIPES`].
pub(super) fn stripe() -> usize {
    use std::cell::Cell;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
    }
    STRIPE.get().unwrap_or_else(|| {
        let next = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
        STRIPE.set(Some(next));
        next
    })
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The class of a time: the doubling it lies in, and the quarter of that doubling.
fn class_of(micros: u64) -> usize {
    let doubling = u64::from(micros.max(1).ilog2());
    let quarter = if doubling < 2 { 0 } else { (micros >> (doubling - 2)) & 3 };
    let class = doubling * CLASSES_PER_DOUBLING + quarter;
    usize::try_from(class).map_or(CLASSES - 1, |class| class.min(CLASSES - 1))
}

/// The largest time of a class.
fn class_limit(class: usize) -> u64 {
    let (doubling, quarter) = (class as u64 / CLASSES_PER_DOUBLING, class as u64 % 4);
    if doubling < 2 {
        return (2 << doubling) - 1;
    }
    (((4 + quarter + 1) << doubling) >> 2) - 1
}

fn percentile(counts: &[u64], total: u64, percent: u64) -> u64 {
    let rank = (total * percent).div_ceil(100);
    let mut seen = 0;
    for (class, count) in counts.iter().enumerate() {
        seen += count;
        if seen >= rank && total > 0 {
            return class_limit(class);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_class_and_within_a_quarter_of_its_limit() {
        for micros in (1..5000).chain([99_999, 1_000_000, 60_000_000]) {
            let limit = class_limit(class_of(micros));
            assert!(limit >= micros && limit <= micros + micros / 4 + 1, "{micros} -> {limit}");
        }
    }

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
