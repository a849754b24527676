//! Delayed tasks: a heap, and one thread that queues them when they are due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::pool::panics::drop_quietly;
use crate::pool::task::{TaskRef, TaskStatus};
use crate::sync::{Condvar, Mutex};
use crate::time::Clock;

/// A heap with fewer entries is not swept of cancelled tasks.
const SWEEP_FROM: usize = 64;
/// Most tasks queued between two readings of the clock.
const BATCH: usize = 256;

pub(super) struct Timekeeper {
    timers: Mutex<Timers>,
    changed: Condvar,
}

#[derive(Default)]
struct Timers {
    tasks: DelayQueue,
    /// When the pool is to look at something that no event reports.
    look_at: Option<Duration>,
    /// Whether the thread was started.
    running: bool,
    closed: bool,
}

impl Timekeeper {
    pub(super) fn new() -> Self {
        Self { timers: Mutex::new(Timers::default()), changed: Condvar::new() }
    }

    /// Keeps `task` until it is due. `start` starts the thread, on first use. `false` if the pool
    /// is sealed or the thread cannot be started.
    pub(super) fn insert(&self, task: TaskRef, start: impl FnOnce() -> bool) -> bool {
        let mut timers = self.timers.lock();
        if !timers.is_ready(start) {
            return false;
        }
        if timers.tasks.push(task) {
            drop(timers);
            self.changed.notify_one();
        }
        true
    }

    /// Looks again at `at`, or earlier if that was asked for before. If the thread cannot be
    /// started, nothing happens, and what the look would have found waits for the next event.
    pub(super) fn look_again_at(&self, at: Duration, start: impl FnOnce() -> bool) {
        let mut timers = self.timers.lock();
        if timers.look_at.is_some_and(|earlier| earlier <= at) || !timers.is_ready(start) {
            return;
        }
        timers.look_at = Some(at);
        drop(timers);
        self.changed.notify_one();
    }

    /// Visits the tasks that are not due.
    pub(super) fn for_each(&self, see: impl FnMut(&TaskRef)) {
        let timers = self.timers.lock();
        timers.tasks.entries.iter().map(|Reverse(entry)| &entry.task).for_each(see);
    }

    /// Called when a delayed task was cancelled or run by a joining worker: its entry is dead.
    pub(super) fn note_stale(&self) {
        let dead = self.timers.lock().tasks.note_stale();
        drop(dead);
    }

    /// Ends the thread and returns the tasks that are not due.
    pub(super) fn close(&self) -> Vec<TaskRef> {
        let mut timers = self.timers.lock();
        timers.closed = true;
        let rest = std::mem::take(&mut timers.tasks);
        drop(timers);
        self.changed.notify_all();
        rest.entries.into_iter().map(|Reverse(entry)| entry.task).collect()
    }

    /// The thread's loop, until `close`. `promote` queues a task that is due, or gives it back if
    /// it was cancelled. `notify` is called after that, with `true` if it is time to look again.
    pub(super) fn run(
        &self,
        clock: &dyn Clock,
        promote: impl Fn(TaskRef) -> Option<TaskRef>,
        notify: impl Fn(bool),
    ) {
        let mut timers = self.timers.lock();
        while !timers.closed {
            let now = clock.monotonic();
            let due = timers.tasks.take_due(now, BATCH);
            let look_again = timers.look_at.take_if(|at| *at <= now).is_some();
            if due.is_empty() && !look_again {
                match timers.next() {
                    None => self.changed.wait(&mut timers),
                    Some(at) => {
                        self.changed.wait_for(&mut timers, at.saturating_sub(now));
                    }
                }
                continue;
            }
            // Under the lock, so that a thread that lists the tasks finds each here or in its
            // queue.
            let dead: Vec<TaskRef> = due.into_iter().filter_map(&promote).collect();
            drop(timers);
            dead.into_iter().for_each(drop_quietly);
            // Once for the batch: a worker that finds a task notifies for the rest.
            notify(look_again);
            timers = self.timers.lock();
        }
    }
}

impl Timers {
    /// Whether tasks can be delayed. Starts the thread on first use.
    fn is_ready(&mut self, start: impl FnOnce() -> bool) -> bool {
        if !self.closed && !self.running {
            self.running = start();
        }
        !self.closed && self.running
    }

    fn next(&self) -> Option<Duration> {
        [self.tasks.next_due(), self.look_at].into_iter().flatten().min()
    }
}

/// Tasks ordered by the time at which they are due, then by arrival.
#[derive(Default)]
struct DelayQueue {
    entries: BinaryHeap<Reverse<Entry>>,
    arrivals: u64,
    /// Entries of tasks that have left the state `Delayed`.
    stale: usize,
}

struct Entry {
    due: Duration,
    arrival: u64,
    task: TaskRef,
}

impl DelayQueue {
    /// `true` if the task is due before all others.
    fn push(&mut self, task: TaskRef) -> bool {
        let (due, arrival) = (task.due(), self.arrivals);
        self.arrivals += 1;
        let first = self.next_due().is_none_or(|head| due < head);
        self.entries.push(Reverse(Entry { due, arrival, task }));
        first
    }

    fn next_due(&self) -> Option<Duration> {
        self.entries.peek().map(|Reverse(entry)| entry.due)
    }

    fn take_due(&mut self, now: Duration, most: usize) -> Vec<TaskRef> {
        let mut due = Vec::new();
        while due.len() < most && self.next_due().is_some_and(|at| at <= now) {
            due.extend(self.entries.pop().map(|Reverse(entry)| entry.task));
        }
        due
    }

    /// Counts a dead entry. Once most are dead, removes them, for the caller to drop.
    fn note_stale(&mut self) -> Vec<TaskRef> {
        self.stale += 1;
        if self.entries.len() < SWEEP_FROM || self.stale * 2 <= self.entries.len() {
            return Vec::new();
        }
        self.stale = 0;
        let (living, dead): (Vec<_>, Vec<_>) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|Reverse(entry)| entry.task.header().status() == TaskStatus::Delayed);
        self.entries = living.into();
        dead.into_iter().map(|Reverse(entry)| entry.task).collect()
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.due, self.arrival).cmp(&(other.due, other.arrival))
    }
}
