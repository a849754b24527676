//! Counters and histograms of a pool, always on.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::utils::CachePadded;
use serde::{Serialize, Serializer};

use super::priority::{LEVELS, Priority};

/// Each power of two of nanoseconds is cut into 2^this parts, so a percentile is at most an eighth
/// too high.
const SUB_BITS: u32 = 3;
const SUBS: usize = 1 << SUB_BITS;
/// The first `SUBS` values have a bucket each, then each power of two has `SUBS`.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUBS;

/// What a pool did so far and does now.
///
/// Counters are read one after the other while the pool works, so they may differ by the tasks
/// that moved on in between.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PoolStats {
    /// The pool's name.
    pub name: String,
    /// One entry a level, most urgent first.
    pub levels: Vec<LevelStats>,
    /// The threads.
    pub workers: WorkerStats,
    /// Tasks accepted and neither started nor cancelled: queued and delayed ones.
    pub pending: u64,
    /// Tasks that were taken from another worker's queue.
    pub steals: u64,
    /// Times a worker went to sleep for want of work.
    pub parks: u64,
    /// Tasks that a joining worker ran itself because they were still queued.
    pub inlined: u64,
}

impl PoolStats {
    /// The entry of one level.
    pub fn level(&self, priority: Priority) -> &LevelStats {
        &self.levels[priority.level()]
    }
}

/// The tasks of one priority level.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LevelStats {
    /// Which level.
    pub priority: Priority,
    /// Tasks accepted.
    pub submitted: u64,
    /// Tasks that began to run.
    pub started: u64,
    /// Tasks that returned.
    pub done: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks cancelled before they started.
    pub cancelled: u64,
    /// Tasks refused because the pool was shut down.
    pub rejected: u64,
    /// Time from when a task could have started (submitted, or due if delayed) to its start.
    pub queue_wait: Percentiles,
    /// Time from start to end.
    pub run_time: Percentiles,
}

/// The worker threads of a pool.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Workers alive.
    pub now: usize,
    /// Workers asleep for want of work.
    pub idle: usize,
    /// Most workers ever alive at a time.
    pub peak: usize,
    /// Workers ever started.
    pub started: u64,
    /// Workers that ended because there was nothing to do for them.
    pub retired: u64,
    /// Threads that the operating system refused to create.
    pub failed_starts: u64,
}

/// Percentiles of durations; each is at most an eighth above the true value, `max` is exact. All
/// are zero if nothing was measured. Serialized in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// Measurements taken.
    pub count: u64,
    /// Half of the measurements are at most this.
    #[serde(serialize_with = "as_seconds")]
    pub p50: Duration,
    /// 90 % of the measurements are at most this.
    #[serde(serialize_with = "as_seconds")]
    pub p90: Duration,
    /// 99 % of the measurements are at most this.
    #[serde(serialize_with = "as_seconds")]
    pub p99: Duration,
    /// The longest.
    #[serde(serialize_with = "as_seconds")]
    pub max: Duration,
}

fn as_seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// How a task left the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Done,
    Panicked,
    Cancelled,
    Rejected,
}

/// The live counters. All are statistics only: relaxed, nothing is inferred from their order.
pub(super) struct Counters {
    levels: [CachePadded<LevelCounters>; LEVELS],
    pub(super) steals: CachePadded<AtomicU64>,
    pub(super) parks: CachePadded<AtomicU64>,
    pub(super) inlined: AtomicU64,
}

struct LevelCounters {
    submitted: AtomicU64,
    started: AtomicU64,
    ended: [AtomicU64; 4],
    queue_wait: Histogram,
    run_time: Histogram,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            levels: array::from_fn(|_| {
                CachePadded::new(LevelCounters {
                    submitted: AtomicU64::new(0),
                    started: AtomicU64::new(0),
                    ended: array::from_fn(|_| AtomicU64::new(0)),
                    queue_wait: Histogram::new(),
                    run_time: Histogram::new(),
                })
            }),
            steals: CachePadded::new(AtomicU64::new(0)),
            parks: CachePadded::new(AtomicU64::new(0)),
            inlined: AtomicU64::new(0),
        }
    }

    pub(super) fn submitted(&self, priority: Priority) {
        self.levels[priority.level()].submitted.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn started(&self, priority: Priority, waited: Duration) {
        let level = &self.levels[priority.level()];
        level.started.fetch_add(1, Ordering::Relaxed);
        level.queue_wait.record(waited);
    }

    pub(super) fn ran(&self, priority: Priority, took: Duration) {
        self.levels[priority.level()].run_time.record(took);
    }

    pub(super) fn ended(&self, priority: Priority, end: End) {
        self.levels[priority.level()].ended[end as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self, name: &str, workers: WorkerStats, pending: u64) -> PoolStats {
        let levels = Priority::ALL.map(|priority| {
            let level = &self.levels[priority.level()];
            let ended = |end: End| level.ended[end as usize].load(Ordering::Relaxed);
            LevelStats {
                priority,
                submitted: level.submitted.load(Ordering::Relaxed),
                started: level.started.load(Ordering::Relaxed),
                done: ended(End::Done),
                panicked: ended(End::Panicked),
                cancelled: ended(End::Cancelled),
                rejected: ended(End::Rejected),
                queue_wait: level.queue_wait.percentiles(),
                run_time: level.run_time.percentiles(),
            }
        });
        PoolStats {
            name: name.to_owned(),
            levels: levels.into(),
            workers,
            pending,
            steals: self.steals.load(Ordering::Relaxed),
            parks: self.parks.load(Ordering::Relaxed),
            inlined: self.inlined.load(Ordering::Relaxed),
        }
    }
}

/// Durations in buckets whose width grows with the value.
struct Histogram {
    buckets: Box<[AtomicU64]>,
    max: AtomicU64,
}

impl Histogram {
    fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| AtomicU64::new(0)).collect(), max: AtomicU64::new(0) }
    }

    fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(nanos)].fetch_add(1, Ordering::Relaxed);
        if nanos > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(nanos, Ordering::Relaxed);
        }
    }

    fn percentiles(&self) -> Percentiles {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        let max = self.max.load(Ordering::Relaxed);
        let at = |percent: u64| {
            let rank = (count.saturating_mul(percent)).div_ceil(100).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|bucket| {
                seen += bucket;
                seen >= rank
            });
            Duration::from_nanos(found.map_or(0, |bucket| top_of(bucket).min(max)))
        };
        Percentiles { count, p50: at(50), p90: at(90), p99: at(99), max: Duration::from_nanos(max) }
    }
}

/// The bucket of a value: its highest bits.
fn bucket_of(nanos: u64) -> usize {
    let shift = (64 - nanos.leading_zeros()).saturating_sub(SUB_BITS + 1);
    // The greatest value has shift 60 and mantissa 15: the last bucket.
    let mantissa = usize::try_from(nanos >> shift).expect("invariant: below 2^(SUB_BITS + 1)");
    shift as usize * SUBS + mantissa
}

/// The greatest value of a bucket.
fn top_of(bucket: usize) -> u64 {
    if bucket < 2 * SUBS {
        return bucket as u64;
    }
    let shift = bucket / SUBS - 1;
    let mantissa = (bucket % SUBS + SUBS) as u64;
    ((mantissa + 1) << shift).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_values_and_is_narrow(nanos in any::<u64>()) {
            let bucket = bucket_of(nanos);
            prop_assert!(bucket < BUCKETS);
            prop_assert!(top_of(bucket) >= nanos);
            prop_assert!(bucket == 0 || top_of(bucket - 1) < nanos);
            prop_assert!(top_of(bucket) - nanos <= nanos / 8);
        }
    }

    #[test]
    fn percentiles_follow_the_measurements() {
        let histogram = Histogram::new();
        assert_eq!(histogram.percentiles(), Percentiles::default());
        for millis in 1..=100 {
            histogram.record(Duration::from_millis(millis));
        }
        let found = histogram.percentiles();
        assert_eq!((found.count, found.max), (100, Duration::from_millis(100)));
        for (percentile, millis) in [(found.p50, 50), (found.p90, 90), (found.p99, 99)] {
            let exact = Duration::from_millis(millis);
            assert!(percentile >= exact && percentile <= exact * 9 / 8, "{percentile:?} {millis}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }
}
