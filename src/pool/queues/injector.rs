//! A queue that any thread fills and workers empty in batches.

use std::collections::VecDeque;

use crossbeam_utils::CachePadded;

use crate::pool::task::TaskRef;
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicU64, Ordering};

/// A queue that becomes empty frees its buffer if that has room for more tasks than this.
const KEPT_CAPACITY: usize = 1 << 14;

/// One bit for each injector that may have tasks.
///
/// A bit changes under the `back` lock of its injector, so outside that lock a clear bit means an
/// empty injector. A set bit may be a batch behind the truth. `SeqCst`, paired with the fences of
/// the sleep protocol: a worker that falls asleep and a thread that pushes read each other's words
/// (README, "Why no wake-up is lost").
pub(in crate::pool) struct ReadyInjectors(AtomicU64);

impl ReadyInjectors {
    pub(in crate::pool) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(in crate::pool) fn bits(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    #[inline]
    fn raise(&self, bit: u64) {
        // Relaxed: the lock that the caller holds orders this read after the last change of the
        // bit. Writing only on a change keeps the word in the readers' caches.
        if self.0.load(Ordering::Relaxed) & bit == 0 {
            self.0.fetch_or(bit, Ordering::SeqCst);
        }
    }

    fn clear(&self, bit: u64) {
        self.0.fetch_and(!bit, Ordering::SeqCst);
    }
}

/// First in, first out. Two locks, so that pushing and taking threads meet only when the front is
/// empty and the whole back becomes the new front.
pub(in crate::pool) struct Injector {
    front: CachePadded<Mutex<VecDeque<TaskRef>>>,
    back: CachePadded<Mutex<Back>>,
    bit: u64,
}

#[derive(Default)]
struct Back {
    tasks: VecDeque<TaskRef>,
    /// Tasks ever pushed by `push_new`.
    pushed: u64,
}

impl Injector {
    /// An empty queue that owns this bit of [`ReadyInjectors`].
    pub(in crate::pool) fn new(bit: u64) -> Self {
        Self {
            front: CachePadded::new(Mutex::new(VecDeque::new())),
            back: CachePadded::new(Mutex::new(Back::default())),
            bit,
        }
    }

    /// Adds a task and counts it as submitted.
    #[inline]
    pub(in crate::pool) fn push_new(&self, task: TaskRef, ready: &ReadyInjectors) {
        let mut back = self.back.lock();
        back.pushed += 1;
        back.tasks.push_back(task);
        ready.raise(self.bit);
    }

    /// Adds a task that was counted as submitted elsewhere.
    pub(in crate::pool) fn push(&self, task: TaskRef, ready: &ReadyInjectors) {
        let mut back = self.back.lock();
        back.tasks.push_back(task);
        ready.raise(self.bit);
    }

    /// Moves half of the front's tasks to `sink`, the oldest first: at least one if the queue is
    /// not empty, at most `most`. The other half is left for other workers.
    pub(in crate::pool) fn take(
        &self,
        most: usize,
        ready: &ReadyInjectors,
        mut sink: impl FnMut(TaskRef),
    ) {
        let mut front = self.front.lock();
        let mut back = front.is_empty().then(|| self.back.lock());
        if let Some(back) = &mut back {
            std::mem::swap(&mut *front, &mut back.tasks);
        }
        let count = most.min(front.len().div_ceil(2));
        front.drain(..count).for_each(&mut sink);
        if !front.is_empty() {
            return;
        }
        let mut back = back.unwrap_or_else(|| self.back.lock());
        if back.tasks.is_empty() {
            ready.clear(self.bit);
            for side in [&mut *front, &mut back.tasks] {
                if side.capacity() > KEPT_CAPACITY {
                    *side = VecDeque::new();
                }
            }
        }
    }

    /// Tasks ever pushed by `push_new`.
    pub(in crate::pool) fn pushed(&self) -> u64 {
        self.back.lock().pushed
    }

    /// Visits all tasks that are queued at one moment, the oldest first.
    pub(in crate::pool) fn for_each(&self, mut see: impl FnMut(&TaskRef)) {
        // Both locks, in the order of `take`: nothing moves from one to the other meanwhile.
        let front = self.front.lock();
        let back = self.back.lock();
        front.iter().chain(back.tasks.iter()).for_each(&mut see);
    }
}
