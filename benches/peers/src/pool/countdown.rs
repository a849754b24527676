//! How a measurement learns that its last task has run.

use std::array;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::workers;
use crate::error::AnyError;

/// Neighbouring tasks count on different cache lines, so that workers seldom meet on one.
const SHARDS: u32 = 64;

/// Counts tasks down and wakes the thread that has made it.
///
/// Tasks hold it by reference, so that counting is one addition on a cache line that hardly anyone
/// else uses at that moment: a counted reference or a channel's sender would be one word that every
/// task writes to twice. The price is that it is never freed.
pub(crate) struct Countdown {
    shards: [Shard; SHARDS as usize],
    /// Shards that are not down to zero.
    open: AtomicUsize,
    /// Tasks that ran on the submitting thread.
    strays: AtomicUsize,
    waiter: Thread,
}

/// Two cache lines: processors fetch them in pairs.
#[repr(align(128))]
struct Shard(AtomicU32);

impl Countdown {
    /// Starts at `tasks`; the calling thread is the one to wait.
    pub(crate) fn start(tasks: u32) -> &'static Self {
        let mut open = 0;
        let mut numbers = 0..SHARDS;
        let shards = array::from_fn(|_| {
            // As many as there are numbers below `tasks` that have this remainder.
            let left = numbers.next().map_or(0, |shard| (tasks + SHARDS - 1 - shard) / SHARDS);
            open += usize::from(left > 0);
            Shard(AtomicU32::new(left))
        });
        let (open, strays) = (AtomicUsize::new(open), AtomicUsize::new(0));
        Box::leak(Box::new(Self { shards, open, strays, waiter: thread::current() }))
    }

    /// Counts task `number` of `0..tasks`, each once, as run on this thread.
    pub(crate) fn count(&self, number: u32) {
        if workers::is_submitter() {
            self.strays.fetch_add(1, Ordering::Relaxed);
        }
        // Each step releases what came before it to the next step and at last to the waiter.
        let Some(shard) = self.shards.get((number % SHARDS) as usize) else { return };
        if shard.0.fetch_sub(1, Ordering::AcqRel) == 1
            && self.open.fetch_sub(1, Ordering::AcqRel) == 1
        {
            self.waiter.unpark();
        }
    }

    /// Waits until all tasks are counted; fails after `limit`, and if one of them ran on the
    /// submitting thread.
    pub(crate) fn wait(&self, limit: Duration) -> Result<(), AnyError> {
        let begun = Instant::now();
        // Pairs with the counting: all tasks' strays are seen.
        while self.open.load(Ordering::Acquire) > 0 {
            let left = limit.checked_sub(begun.elapsed()).ok_or("not all tasks were run")?;
            thread::park_timeout(left);
        }
        if self.strays.load(Ordering::Relaxed) > 0 { Err(workers::STRAY.into()) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[test]
    fn it_ends_with_the_last_task_whatever_their_number() {
        for tasks in [0, 1, 63, 64, 65, 1000] {
            let countdown = Countdown::start(tasks);
            let last = tasks.saturating_sub(1);
            let count = move |numbers: std::ops::Range<u32>| {
                thread::spawn(move || numbers.for_each(|number| countdown.count(number)))
            };
            count(0..last).join().unwrap();
            assert_eq!(countdown.wait(Duration::ZERO).is_ok(), tasks == 0, "{tasks}");
            let counted = count(last..tasks);
            countdown.wait(LIMIT).unwrap();
            counted.join().unwrap();
        }
    }

    #[test]
    fn a_task_on_the_submitting_thread_is_an_error() {
        workers::mark_submitter();
        let countdown = Countdown::start(1);
        countdown.count(0);
        assert_eq!(countdown.wait(LIMIT).unwrap_err().to_string(), workers::STRAY);
    }
}
