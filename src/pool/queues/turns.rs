//! Whose turn it is: which level a worker serves next, and since when the others are passed over.

use std::array;
use std::time::Duration;

use super::choose::choose;
use crate::pool::admission::nanos;
use crate::pool::priority::LEVELS;
use crate::sync::atomic::{AtomicU64, Ordering};

/// The stamp of a level that is not passed over.
const NOT_PASSED_OVER: u64 = 0;

/// Monotonic nanoseconds since when each level is passed over.
///
/// All accesses are relaxed: the stamps order nothing else, and one that is read late delays a
/// level's turn by one task.
pub(super) struct Turns {
    passed_over: [AtomicU64; LEVELS],
}

impl Turns {
    pub(super) fn new() -> Self {
        Self { passed_over: array::from_fn(|_| AtomicU64::new(NOT_PASSED_OVER)) }
    }

    /// The level to serve next of those whose bit is set in `ready`.
    #[inline]
    pub(super) fn next(&self, ready: u8, now: impl Fn() -> Duration) -> Option<usize> {
        if ready == 0 {
            return None;
        }
        // A single level, the usual case, needs no clock.
        if ready.is_power_of_two() {
            let level = ready.trailing_zeros() as usize;
            self.serve(level);
            return Some(level);
        }
        self.next_of_several(ready, now)
    }

    /// Runs [`choose`] on the stamps and updates them.
    fn next_of_several(&self, ready: u8, now: impl Fn() -> Duration) -> Option<usize> {
        let time = now();
        let stamp = nanos(time).max(NOT_PASSED_OVER + 1);
        let stamps = array::from_fn(|level: usize| self.passed_over[level].load(Ordering::Relaxed));
        let since = stamps.map(|at: u64| (at != NOT_PASSED_OVER).then(|| Duration::from_nanos(at)));
        let choice = choose(ready, &since, time)?;
        if choice.overdue {
            let (level, old) = (&self.passed_over[choice.level], stamps[choice.level]);
            let won = level.compare_exchange(old, stamp, Ordering::Relaxed, Ordering::Relaxed);
            if won.is_ok() {
                return Some(choice.level);
            }
        }
        // None is overdue, or another worker has just served the one that was: the most urgent one.
        let top = ready.trailing_zeros() as usize;
        self.serve(top);
        for level in (top + 1..LEVELS).filter(|level| ready & (1 << level) != 0) {
            let unset = NOT_PASSED_OVER;
            // On failure another worker has just stamped the level, which is as good.
            let _ = self.passed_over[level].compare_exchange(
                unset,
                stamp,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
        Some(top)
    }

    /// A level has nothing that may run: it is not passed over.
    pub(super) fn skip(&self, level: usize) {
        self.passed_over[level].store(NOT_PASSED_OVER, Ordering::Relaxed);
    }

    #[inline]
    fn serve(&self, level: usize) {
        // Writing only on a change keeps the word in the other workers' caches.
        if self.passed_over[level].load(Ordering::Relaxed) != NOT_PASSED_OVER {
            self.passed_over[level].store(NOT_PASSED_OVER, Ordering::Relaxed);
        }
    }
}
