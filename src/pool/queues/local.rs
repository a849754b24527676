//! A worker's local queue: the task that it runs and those that it will run next.

use std::array;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use super::gate::GateSet;
use crate::pool::priority::LEVELS;
use crate::pool::stats::Tally;
use crate::pool::task::TaskRef;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// Most local queues that [`ReadyLocals`] can count.
const MAX_COUNT: u64 = (1 << ReadyLocals::BITS) - 1;

/// How many local queues hold queued tasks of each level, in one word.
///
/// A queue is counted before its first task leaves the place where it was, and counted out after
/// its last task has left, so zero means none. `SeqCst`, paired with the fences of the sleep
/// protocol as [`ReadyInjectors`](super::injector::ReadyInjectors) is.
pub(super) struct ReadyLocals(AtomicU64);

/// A reading of [`ReadyLocals`].
#[derive(Clone, Copy)]
pub(super) struct LocalCounts(u64);

impl ReadyLocals {
    /// Bits for each level. A pool never has more workers than they can count.
    const BITS: usize = 64 / LEVELS;

    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(super) fn counts(&self) -> LocalCounts {
        LocalCounts(self.0.load(Ordering::SeqCst))
    }

    fn raise(&self, level: usize) {
        self.0.fetch_add(1 << (level * Self::BITS), Ordering::SeqCst);
    }

    fn lower(&self, level: usize) {
        self.0.fetch_sub(1 << (level * Self::BITS), Ordering::SeqCst);
    }
}

impl LocalCounts {
    /// Local queues that hold tasks of the level.
    #[inline]
    pub(super) const fn queues(self, level: usize) -> u64 {
        (self.0 >> (level * ReadyLocals::BITS)) & MAX_COUNT
    }
}

/// A local queue as its worker and the others share it: the others steal from it, list its tasks
/// and read its counters.
pub(in crate::pool) struct LocalQueue {
    tasks: Mutex<LocalTasks>,
    pub(in crate::pool) tally: Tally,
}

pub(in crate::pool) struct LocalTasks {
    /// The running task, and on top of it those that run inside it because it joined them.
    running: Vec<TaskRef>,
    queued: [VecDeque<TaskRef>; LEVELS],
    submitted: [u64; LEVELS],
}

impl LocalQueue {
    pub(super) fn new() -> Self {
        Self {
            tasks: Mutex::new(LocalTasks {
                running: Vec::new(),
                queued: array::from_fn(|_| VecDeque::new()),
                submitted: [0; LEVELS],
            }),
            tally: Tally::new(),
        }
    }

    #[inline]
    pub(in crate::pool) fn lock(&self) -> MutexGuard<'_, LocalTasks> {
        self.tasks.lock()
    }
}

impl LocalTasks {
    #[inline]
    pub(super) fn holds(&self, level: usize) -> bool {
        !self.queued[level].is_empty()
    }

    /// Adds a task and counts it as submitted.
    pub(super) fn push_new(&mut self, task: TaskRef, level: usize, ready: &ReadyLocals) {
        self.submitted[level] += 1;
        self.push(task, level, ready);
    }

    /// Adds a task that was counted as submitted elsewhere.
    #[inline]
    pub(super) fn push(&mut self, task: TaskRef, level: usize, ready: &ReadyLocals) {
        if self.queued[level].is_empty() {
            ready.raise(level);
        }
        self.queued[level].push_back(task);
    }

    #[inline]
    pub(super) fn pop(&mut self, level: usize, ready: &ReadyLocals) -> Option<TaskRef> {
        let task = self.queued[level].pop_front()?;
        if self.queued[level].is_empty() {
            ready.lower(level);
        }
        Some(task)
    }

    #[inline]
    pub(in crate::pool) fn begin(&mut self, task: &TaskRef) {
        self.running.push(Arc::clone(task));
    }

    /// Removes the running task, which has ended. The caller drops it after it released the lock:
    /// its destructor may be user code.
    #[inline]
    pub(in crate::pool) fn end(&mut self) -> Option<TaskRef> {
        self.running.pop()
    }

    pub(in crate::pool) fn running(&self) -> Option<&TaskRef> {
        self.running.last()
    }

    pub(super) fn submitted(&self) -> [u64; LEVELS] {
        self.submitted
    }

    pub(super) fn for_each(&self, see: impl FnMut(&TaskRef)) {
        self.running.iter().chain(self.queued.iter().flatten()).for_each(see);
    }
}

/// A worker's own view of its queue, with what no other thread needs.
pub(in crate::pool) struct WorkerLocal {
    pub(in crate::pool) queue: Arc<LocalQueue>,
    /// The gates at which the task that the worker took was counted in. Tasks that run inside it
    /// went through none.
    pub(in crate::pool) gates: Cell<GateSet>,
    /// How many tasks run inside the one that the worker took.
    pub(in crate::pool) inlined: Cell<usize>,
    ticks: Cell<u32>,
    random: Cell<u64>,
}

impl WorkerLocal {
    pub(super) fn new(queue: Arc<LocalQueue>, seed: u64) -> Self {
        Self {
            queue,
            gates: Cell::new(GateSet::default()),
            inlined: Cell::new(0),
            ticks: Cell::new(0),
            random: Cell::new(seed | 1),
        }
    }

    #[inline]
    pub(super) fn tick(&self) -> u32 {
        let tick = self.ticks.get().wrapping_add(1);
        self.ticks.set(tick);
        tick
    }

    /// Xorshift (Marsaglia 2003), which is random enough to choose where stealing begins.
    pub(super) fn random_below(&self, bound: usize) -> usize {
        let mut state = self.random.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.set(state);
        usize::try_from(state % (bound.max(1) as u64)).unwrap_or(0)
    }
}
