//! Urgency: how long the most urgent tasks wait behind a backlog of others.

use std::hint;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::measure::DEADLINE;
use super::workers::{self, Workers};
use crate::error::AnyError;

/// How long a task of the backlog computes.
const BUSY: Duration = Duration::from_micros(200);

/// Time between two urgent tasks: they must not wait for each other, and where they wait for the
/// whole backlog, all of them together must not take much longer than one.
const PACE: Duration = Duration::from_millis(1);

/// What the tasks of the backlog share.
#[derive(Default)]
struct Backlog {
    /// Tasks that have run. Read to know how many to add: relaxed, nothing is inferred from it.
    run: AtomicUsize,
    /// All urgent tasks have started: what is left need not compute. Relaxed, for it orders
    /// nothing.
    over: AtomicBool,
}

/// Submission to start of `count` tasks of the highest priority, submitted one after another while
/// the backlog is kept at `backlog` tasks.
pub(crate) fn waits<W: Workers>(
    pool: &W,
    backlog: usize,
    count: usize,
) -> Result<Vec<Duration>, AnyError> {
    // Leaked, as the countdown is: a counted reference would be a word that all tasks write to.
    let shared: &'static Backlog = Box::leak(Box::default());
    let (sender, starts) = mpsc::channel();
    let mut queued = 0;
    for _ in 0..count {
        while queued - shared.run.load(Ordering::Relaxed) < backlog {
            pool.detach(|| shared.work());
            queued += 1;
        }
        let (sender, submitted) = (sender.clone(), Instant::now());
        pool.detach_urgent(move || {
            let waited = submitted.elapsed();
            // The receiver is gone only when the measurement has failed.
            let _ = sender.send((waited, workers::is_submitter()));
        });
        thread::sleep(PACE);
    }
    let waited = |_| match starts.recv_timeout(DEADLINE)? {
        (_, true) => Err(workers::STRAY.into()),
        (waited, false) => Ok(waited),
    };
    let waits = (0..count).map(waited).collect();
    shared.over.store(true, Ordering::Relaxed);
    waits
}

impl Backlog {
    fn work(&self) {
        let begun = Instant::now();
        while !self.over.load(Ordering::Relaxed) && begun.elapsed() < BUSY {
            hint::spin_loop();
        }
        self.run.fetch_add(1, Ordering::Relaxed);
    }
}
