//! A queue that any thread fills and workers empty in batches.

use std::collections::VecDeque;

use crossbeam_utils::CachePadded;

use super::sync::Mutex;
use super::sync::atomic::{AtomicU64, Ordering};
use super::task::TaskRef;

/// An empty queue gives back room for more tasks than this.
const KEPT_CAPACITY: usize = 1 << 14;

/// One bit for each injector that may have tasks.
///
/// Bits change under the `back` lock of their injector, so that outside it a clear bit means an
/// empty injector. A set one may be a batch behind the truth. `SeqCst`: a worker that falls asleep
/// and one who pushes look at each other's words (README, "Why no wake-up is lost").
pub(super) struct Ready(AtomicU64);

impl Ready {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(super) fn bits(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    #[inline]
    fn raise(&self, bit: u64) {
        // Relaxed: the lock that the caller holds orders this read behind the last change of the
        // bit. Writing only on a change keeps the word in the readers' caches.
        if self.0.load(Ordering::Relaxed) & bit == 0 {
            self.0.fetch_or(bit, Ordering::SeqCst);
        }
    }

    fn clear(&self, bit: u64) {
        self.0.fetch_and(!bit, Ordering::SeqCst);
    }
}

/// First in, first out; two locks, so that who pushes and who takes meet only when the front runs
/// out and the whole back becomes the new front.
pub(super) struct Injector {
    front: CachePadded<Mutex<VecDeque<TaskRef>>>,
    back: CachePadded<Mutex<Back>>,
    bit: u64,
}

#[derive(Default)]
struct Back {
    tasks: VecDeque<TaskRef>,
    /// New tasks ever pushed.
    pushed: u64,
}

impl Injector {
    /// An empty queue that shows in this bit of [`Ready`].
    pub(super) fn new(bit: u64) -> Self {
        Self {
            front: CachePadded::new(Mutex::new(VecDeque::new())),
            back: CachePadded::new(Mutex::new(Back::default())),
            bit,
        }
    }

    /// Adds a task that was not counted before.
    #[inline]
    pub(super) fn push_new(&self, task: TaskRef, ready: &Ready) {
        let mut back = self.back.lock();
        back.pushed += 1;
        back.tasks.push_back(task);
        ready.raise(self.bit);
    }

    /// Adds a task that was counted elsewhere.
    pub(super) fn push(&self, task: TaskRef, ready: &Ready) {
        let mut back = self.back.lock();
        back.tasks.push_back(task);
        ready.raise(self.bit);
    }

    /// Gives half of what there is to `sink`, the oldest first: at least one task if there is any,
    /// at most `most`.
    pub(super) fn take(&self, most: usize, ready: &Ready, mut sink: impl FnMut(TaskRef)) {
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

    /// New tasks ever pushed.
    pub(super) fn pushed(&self) -> u64 {
        self.back.lock().pushed
    }

    /// All tasks that are queued at one moment, the oldest first.
    pub(super) fn for_each(&self, mut see: impl FnMut(&TaskRef)) {
        // Front before back, as in `take`: in between, nothing moves from one to the other.
        let front = self.front.lock();
        let back = self.back.lock();
        front.iter().chain(back.tasks.iter()).for_each(&mut see);
    }
}
