//! Delayed tasks: a heap, and one thread that hands over what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::shared::Shared;
use super::sync::{Condvar, Mutex};
use super::task::{TaskRef, TaskStatus, drop_quietly};

/// Below this many entries the heap is not swept of cancelled tasks.
const SWEEP_FROM: usize = 64;
/// Tasks handed over between two looks at the clock.
const BATCH: usize = 256;

pub(super) struct Timekeeper {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    heap: Schedule,
    /// When the pool wants to look at something that no event tells.
    look_at: Option<Duration>,
    running: bool,
    closed: bool,
}

impl Timekeeper {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::default()), changed: Condvar::new() }
    }

    /// Keeps `task` until it is due; starts the thread on first use. `false` if the pool is sealed
    /// or has no such thread and cannot start one.
    pub(super) fn insert(&self, shared: &Shared, task: TaskRef) -> bool {
        let mut state = self.state.lock();
        if !state.is_ready(shared) {
            return false;
        }
        if state.heap.push(task) {
            drop(state);
            self.changed.notify_one();
        }
        true
    }

    /// Calls [`Shared::look_again`] at `at`, or earlier if that was asked for before. Without a
    /// thread to do it nothing happens: what it would have seen waits for the next event.
    pub(super) fn look_again_at(&self, shared: &Shared, at: Duration) {
        let mut state = self.state.lock();
        if state.look_at.is_some_and(|earlier| earlier <= at) || !state.is_ready(shared) {
            return;
        }
        state.look_at = Some(at);
        drop(state);
        self.changed.notify_one();
    }

    /// Shows the tasks that are not due.
    pub(super) fn for_each(&self, see: impl FnMut(&TaskRef)) {
        let state = self.state.lock();
        state.heap.entries.iter().map(|Reverse(entry)| &entry.task).for_each(see);
    }

    /// A delayed task was cancelled: its entry is dead.
    pub(super) fn note_stale(&self) {
        let dead = self.state.lock().heap.note_stale();
        drop(dead);
    }

    /// Ends the thread and gives back the tasks that were not due.
    pub(super) fn close(&self) -> Vec<TaskRef> {
        let mut state = self.state.lock();
        state.closed = true;
        let rest = std::mem::take(&mut state.heap);
        drop(state);
        self.changed.notify_all();
        rest.entries.into_iter().map(|Reverse(entry)| entry.task).collect()
    }

    pub(super) fn run(&self, shared: &Shared) {
        let mut state = self.state.lock();
        while !state.closed {
            let now = shared.clock.monotonic();
            let due = state.heap.take_due(now, BATCH);
            let looks = state.look_at.take_if(|at| *at <= now).is_some();
            if due.is_empty() && !looks {
                match state.next() {
                    None => self.changed.wait(&mut state),
                    Some(at) => {
                        self.changed.wait_for(&mut state, at.saturating_sub(now));
                    }
                }
                continue;
            }
            // Under the lock, so that who lists the tasks finds each here or in its queue.
            let dead: Vec<TaskRef> =
                due.into_iter().filter_map(|task| shared.promote(task)).collect();
            drop(state);
            dead.into_iter().for_each(drop_quietly);
            // Once for all: whoever finds the first sends another for the rest.
            if looks {
                shared.look_again();
            } else {
                shared.notify();
            }
            state = self.state.lock();
        }
    }
}

impl State {
    /// Starts the thread on first use. `false` if the pool is sealed or can have no such thread.
    fn is_ready(&mut self, shared: &Shared) -> bool {
        if !self.closed && !self.running {
            self.running = shared.start_timekeeper();
        }
        !self.closed && self.running
    }

    fn next(&self) -> Option<Duration> {
        [self.heap.next_due(), self.look_at].into_iter().flatten().min()
    }
}

/// Tasks ordered by when they are due, equals by when they came.
#[derive(Default)]
struct Schedule {
    entries: BinaryHeap<Reverse<Entry>>,
    arrivals: u64,
    stale: usize,
}

struct Entry {
    due: Duration,
    arrival: u64,
    task: TaskRef,
}

impl Schedule {
    /// `true` if the task is now the first that is due.
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

    /// Counts a dead entry; gives the dead ones to drop once they outnumber the living.
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
