//! A pool's counters and histograms. They are always on.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use serde::{Serialize, Serializer};

use super::priority::{LEVELS, Priority};
use crate::sync::atomic as modelled;

/// Each power of two of nanoseconds is cut into 2^this parts, so a percentile is at most an eighth
/// too high.
const SUB_BITS: u32 = 3;
const SUBS: usize = 1 << SUB_BITS;
/// The first `SUBS` values have a bucket each, then each power of two has `SUBS`.
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) * SUBS;

/// What a pool has done so far and is doing now.
///
/// The counters are read one after the other while the pool works, so they may disagree by the
/// tasks that moved on in between.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct PoolStats {
    /// The pool's name.
    pub name: String,
    /// One entry for each level, the most urgent first.
    pub levels: Vec<LevelStats>,
    /// The threads.
    pub workers: WorkerStats,
    /// Tasks that are queued or delayed: accepted, and neither started nor cancelled.
    pub pending: u64,
    /// Tasks that were taken from another worker's queue.
    pub steals: u64,
    /// How often a worker went to sleep because there was no work.
    pub parks: u64,
    /// Tasks that a joining worker ran itself, because they were still queued.
    pub inlined: u64,
    /// How often one more CPU task was let run because the running ones made no progress.
    pub stalls: u64,
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
    /// Tasks that started to run.
    pub started: u64,
    /// Tasks that returned.
    pub done: u64,
    /// Tasks that panicked.
    pub panicked: u64,
    /// Tasks that were cancelled before they started.
    pub cancelled: u64,
    /// Tasks that were not accepted, because the pool was shut down.
    pub rejected: u64,
    /// Time from the moment when a task could have started (when it was submitted, or due if it was
    /// delayed) to its start, of a sample of tasks. Submitting threads are spread over eight
    /// groups; the sample has the first 64 tasks of each group, then one in 64 and the first in
    /// each tick of the system's coarse clock.
    pub queue_wait: Percentiles,
    /// Time from the start of a task to its end, of the same sample.
    pub run_time: Percentiles,
}

/// The worker threads of a pool.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerStats {
    /// Workers that exist.
    pub now: usize,
    /// Workers that are asleep because there is no work.
    pub idle: usize,
    /// How many workers there may be now, not counting those that wait in a join. This is the
    /// maximum; under memory pressure the minimum; and for half a second after the operating system
    /// refused a thread, no more than exist.
    pub limit: usize,
    /// The highest number of workers at a time so far.
    pub peak: usize,
    /// Workers ever started.
    pub started: u64,
    /// Workers that ended because there was no work, or because there were too many.
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

/// Why a task left the pool without having started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    Cancelled,
    Rejected,
}

/// The counters of one worker. Only its own thread writes to them, so counting costs a load and a
/// store in its own cache. Other threads sum them up.
pub(super) struct Tally {
    levels: [CachePadded<LevelTally>; LEVELS],
    steals: modelled::AtomicU64,
    parks: modelled::AtomicU64,
    inlined: modelled::AtomicU64,
}

struct LevelTally {
    started: modelled::AtomicU64,
    done: modelled::AtomicU64,
    panicked: modelled::AtomicU64,
}

/// Adds one to a counter of the calling worker.
///
/// Relaxed load: no other thread writes to it. Release pairs with the Acquire in [`Tally::started`]
/// and [`Totals::add`]: a thread that reads a task's start also sees that the task was counted in,
/// and a thread that reads its end also sees its start.
#[inline]
fn bump(counter: &modelled::AtomicU64) {
    counter.store(counter.load(modelled::Ordering::Relaxed) + 1, modelled::Ordering::Release);
}

impl Tally {
    pub(super) fn new() -> Self {
        let zero = || modelled::AtomicU64::new(0);
        Self {
            levels: array::from_fn(|_| {
                let (started, done, panicked) = (zero(), zero(), zero());
                CachePadded::new(LevelTally { started, done, panicked })
            }),
            steals: zero(),
            parks: zero(),
            inlined: zero(),
        }
    }

    #[inline]
    pub(super) fn start(&self, priority: Priority) {
        bump(&self.levels[priority.level()].started);
    }

    #[inline]
    pub(super) fn done(&self, priority: Priority) {
        bump(&self.levels[priority.level()].done);
    }

    pub(super) fn panicked(&self, priority: Priority) {
        bump(&self.levels[priority.level()].panicked);
    }

    pub(super) fn stolen(&self) {
        bump(&self.steals);
    }

    pub(super) fn parked(&self) {
        bump(&self.parks);
    }

    pub(super) fn inlined(&self) {
        bump(&self.inlined);
    }

    /// Tasks that this worker has started.
    pub(super) fn started(&self) -> u64 {
        self.levels.iter().map(|level| level.started.load(modelled::Ordering::Acquire)).sum()
    }
}

/// The sums of several tallies.
#[derive(Clone, Debug, Default)]
pub(super) struct Totals {
    submitted: [u64; LEVELS],
    started: [u64; LEVELS],
    done: [u64; LEVELS],
    panicked: [u64; LEVELS],
    steals: u64,
    parks: u64,
    inlined: u64,
}

impl Totals {
    pub(super) fn add(&mut self, tally: &Tally) {
        let read = |counter: &modelled::AtomicU64| counter.load(modelled::Ordering::Acquire);
        for (at, level) in tally.levels.iter().enumerate() {
            // Ends before starts, so that no task is seen to have ended but not started.
            self.done[at] += read(&level.done);
            self.panicked[at] += read(&level.panicked);
            self.started[at] += read(&level.started);
        }
        self.steals += read(&tally.steals);
        self.parks += read(&tally.parks);
        self.inlined += read(&tally.inlined);
    }

    pub(super) fn add_submitted(&mut self, submitted: [u64; LEVELS]) {
        for (sum, more) in self.submitted.iter_mut().zip(submitted) {
            *sum += more;
        }
    }

    pub(super) fn submit(&mut self, level: usize, tasks: u64) {
        self.submitted[level] += tasks;
    }

    pub(super) fn started(&self) -> u64 {
        self.started.iter().sum()
    }
}

/// What is counted rarely, by any thread. Relaxed: statistics only.
pub(super) struct Counters {
    levels: [LevelCounters; LEVELS],
    stalls: AtomicU64,
}

struct LevelCounters {
    cancelled: AtomicU64,
    rejected: AtomicU64,
    queue_wait: Histogram,
    run_time: Histogram,
}

impl Counters {
    pub(super) fn new() -> Self {
        Self {
            levels: array::from_fn(|_| LevelCounters {
                cancelled: AtomicU64::new(0),
                rejected: AtomicU64::new(0),
                queue_wait: Histogram::new(),
                run_time: Histogram::new(),
            }),
            stalls: AtomicU64::new(0),
        }
    }

    pub(super) fn waited(&self, priority: Priority, waited: Duration) {
        self.levels[priority.level()].queue_wait.record(waited);
    }

    pub(super) fn ran(&self, priority: Priority, took: Duration) {
        self.levels[priority.level()].run_time.record(took);
    }

    pub(super) fn refused(&self, priority: Priority, how: Refusal) {
        let level = &self.levels[priority.level()];
        let counter = match how {
            Refusal::Cancelled => &level.cancelled,
            Refusal::Rejected => &level.rejected,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stalled(&self) {
        self.stalls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(
        &self,
        name: &str,
        workers: WorkerStats,
        pending: u64,
        totals: &Totals,
    ) -> PoolStats {
        let levels = Priority::ALL.map(|priority| {
            let (at, level) = (priority.level(), &self.levels[priority.level()]);
            let rejected = level.rejected.load(Ordering::Relaxed);
            LevelStats {
                priority,
                submitted: totals.submitted[at],
                started: totals.started[at],
                done: totals.done[at],
                panicked: totals.panicked[at],
                cancelled: level.cancelled.load(Ordering::Relaxed),
                rejected,
                queue_wait: level.queue_wait.percentiles(),
                run_time: level.run_time.percentiles(),
            }
        });
        PoolStats {
            name: name.to_owned(),
            levels: levels.into(),
            workers,
            pending,
            steals: totals.steals,
            parks: totals.parks,
            inlined: totals.inlined,
            stalls: self.stalls.load(Ordering::Relaxed),
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

#[cfg(all(test, not(gristmill_model)))]
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
