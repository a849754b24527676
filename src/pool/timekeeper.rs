//! Delayed tasks: a heap, and one thread that hands over what is due.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::shared::Shared;
use super::task::{TaskRef, TaskStatus};

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
    running: bool,
    closed: bool,
}

impl Timekeeper {
    pub(super) fn new() -> Self {
        Self { state: Mutex::new(State::default()), changed: Condvar::new() }
    }

    /// Keeps `task` until it is due; starts the thread on first use. `false` if the pool is sealed
    /// or has no such thread and cannot start one.
    pub(super) fn insert(&self, shared: &Arc<Shared>, task: TaskRef) -> bool {
        let mut state = self.state.lock();
        if state.closed {
            return false;
        }
        if !state.running {
            let keeper = Arc::clone(shared);
            state.running = shared.start_thread("timer", move || keeper.timekeeper.run(&keeper));
            if !state.running {
                return false;
            }
        }
        if state.heap.push(task) {
            drop(state);
            self.changed.notify_one();
        }
        true
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

    fn run(&self, shared: &Arc<Shared>) {
        let mut state = self.state.lock();
        while !state.closed {
            let now = shared.clock.monotonic();
            let due = state.heap.take_due(now, BATCH);
            if due.is_empty() {
                match state.heap.next_due() {
                    None => self.changed.wait(&mut state),
                    Some(at) => {
                        self.changed.wait_for(&mut state, at.saturating_sub(now));
                    }
                }
                continue;
            }
            drop(state);
            for task in due {
                shared.promote(task);
            }
            state = self.state.lock();
        }
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
        let (due, arrival) = (task.header().due, self.arrivals);
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
