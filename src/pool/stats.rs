//! A pool's counters and histograms. They are always on.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use serde::Serialize;

use super::priority::{LEVELS, Priority};
use crate::histogram::{Histogram, Percentiles};
use crate::sync::atomic as modelled;

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
