//! What a worker has in hand: the task that it runs and those that it will run next.

use std::array;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

use super::gate::Passed;
use super::priority::LEVELS;
use super::stats::Tally;
use super::sync::atomic::{AtomicU64, Ordering};
use super::sync::{Mutex, MutexGuard};
use super::task::TaskRef;

/// Most hands that can be counted.
const MAX_HANDS: u64 = (1 << Held::BITS) - 1;

/// How many hands hold queued tasks of each level, in one word. Raised before such a task can be
/// seen gone from where it was, and lowered after it left the hand, so zero means none.
pub(super) struct Held(AtomicU64);

/// What [`Held`] was at a moment.
#[derive(Clone, Copy)]
pub(super) struct HeldNow(u64);

impl Held {
    /// Bits a level; a pool has no more workers than they can count.
    const BITS: usize = 64 / LEVELS;

    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(super) fn now(&self) -> HeldNow {
        HeldNow(self.0.load(Ordering::SeqCst))
    }

    fn raise(&self, level: usize) {
        self.0.fetch_add(1 << (level * Self::BITS), Ordering::SeqCst);
    }

    fn lower(&self, level: usize) {
        self.0.fetch_sub(1 << (level * Self::BITS), Ordering::SeqCst);
    }
}

impl HeldNow {
    /// Hands that hold tasks of the level.
    #[inline]
    pub(super) const fn hands(self, level: usize) -> u64 {
        (self.0 >> (level * Held::BITS)) & MAX_HANDS
    }
}

/// A hand, as its worker and the others share it. The others take what is queued, list what is
/// there, and read the figures.
pub(super) struct Hand {
    cards: Mutex<Cards>,
    pub(super) tally: Tally,
}

pub(super) struct Cards {
    /// The task that runs, and on top of it those that run inside it because it joined them.
    running: Vec<TaskRef>,
    queues: [VecDeque<TaskRef>; LEVELS],
    submitted: [u64; LEVELS],
}

impl Hand {
    pub(super) fn new() -> Self {
        Self {
            cards: Mutex::new(Cards {
                running: Vec::new(),
                queues: array::from_fn(|_| VecDeque::new()),
                submitted: [0; LEVELS],
            }),
            tally: Tally::new(),
        }
    }

    #[inline]
    pub(super) fn cards(&self) -> MutexGuard<'_, Cards> {
        self.cards.lock()
    }
}

impl Cards {
    #[inline]
    pub(super) fn holds(&self, level: usize) -> bool {
        !self.queues[level].is_empty()
    }

    /// Adds a task that its worker spawned.
    pub(super) fn push_new(&mut self, task: TaskRef, level: usize, held: &Held) {
        self.submitted[level] += 1;
        self.push(task, level, held);
    }

    /// Adds a task that was taken from elsewhere.
    #[inline]
    pub(super) fn push(&mut self, task: TaskRef, level: usize, held: &Held) {
        if self.queues[level].is_empty() {
            held.raise(level);
        }
        self.queues[level].push_back(task);
    }

    #[inline]
    pub(super) fn pop(&mut self, level: usize, held: &Held) -> Option<TaskRef> {
        let task = self.queues[level].pop_front()?;
        if self.queues[level].is_empty() {
            held.lower(level);
        }
        Some(task)
    }

    #[inline]
    pub(super) fn begin(&mut self, task: &TaskRef) {
        self.running.push(Arc::clone(task));
    }

    /// Takes the task that ended off; the caller drops it when the lock is gone.
    #[inline]
    pub(super) fn end(&mut self) -> Option<TaskRef> {
        self.running.pop()
    }

    pub(super) fn running(&self) -> Option<&TaskRef> {
        self.running.last()
    }

    pub(super) fn submitted(&self) -> [u64; LEVELS] {
        self.submitted
    }

    pub(super) fn for_each(&self, see: impl FnMut(&TaskRef)) {
        self.running.iter().chain(self.queues.iter().flatten()).for_each(see);
    }
}

/// What only the worker itself needs.
pub(super) struct Local {
    pub(super) hand: Arc<Hand>,
    /// The gates of the task that the worker took; tasks inlined in it went through none.
    pub(super) passed: Cell<Passed>,
    /// Tasks that run one inside the other now, the outermost not counted.
    pub(super) inlined: Cell<usize>,
    ticks: Cell<u32>,
    random: Cell<u64>,
}

impl Local {
    pub(super) fn new(hand: Arc<Hand>, seed: u64) -> Self {
        Self {
            hand,
            passed: Cell::new(Passed::default()),
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

    /// Xorshift (Marsaglia 2003): where to look first need not be more random than that.
    pub(super) fn random_below(&self, bound: usize) -> usize {
        let mut state = self.random.get();
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        self.random.set(state);
        usize::try_from(state % (bound.max(1) as u64)).unwrap_or(0)
    }
}
