//! The set of a pool's workers: which sleep and which search, and which threads there are. The
//! protocol is in the README of `pool`.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::spawner::ThreadHandle;
use crate::pool::stats::WorkerStats;
use crate::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use crate::sync::{Condvar, Mutex, Unparker};

/// For how long no thread is started after the system refused one.
const START_PAUSE: Duration = Duration::from_millis(500);
/// Most workers blocked in joins that are replaced, however high the maximum is.
const MAX_REPLACED: usize = 64;

/// The workers of a pool, seen from outside their loops.
pub(super) struct Workers {
    table: Mutex<WorkerTable>,
    /// Signalled when a thread ended, when its handle was stored, and when a thread of the pool
    /// begins to wait in `shutdown`.
    changed: Condvar,
    /// Workers that look for a task or were notified to. `SeqCst`: a thread that reads it in
    /// `may_recruit` relies on the fences in the README, "Why no wake-up is lost".
    pub(super) searching: AtomicUsize,
    /// Those of them that were woken or started and have not looked yet. Lowered before `searching`
    /// and raised after it, so it exceeds it only for a moment. `SeqCst` as `searching`, to which
    /// it is compared.
    notified: AtomicUsize,
    /// A copy of `sleepers.len()`, written under the lock and read without it. `SeqCst` as
    /// `searching`.
    idle: AtomicUsize,
    /// How many workers may be added (below zero: how many must end), written under the lock and
    /// read without it. `SeqCst` as `searching`.
    room: AtomicIsize,
    /// Workers that are not asleep, written under the lock. Relaxed: it only decides about
    /// spinning.
    awake: AtomicUsize,
}

#[derive(Default)]
struct WorkerTable {
    /// The most recently parked last. It is woken first, so that surplus workers reach their
    /// timeout.
    sleepers: Vec<Sleeper>,
    min: usize,
    max: usize,
    workers: usize,
    /// Workers that wait in a join.
    blocked: usize,
    /// Threads, the timekeeper's included, that were reserved and have not ended.
    live: usize,
    /// Threads that were reserved and whose handle is not stored yet.
    starting: usize,
    /// Threads of this pool that wait in `shutdown`.
    inside: usize,
    handles: HashMap<u64, ThreadHandle>,
    ended: Vec<u64>,
    next_thread: u64,
    paused_until: Duration,
    stats: WorkerStats,
}

struct Sleeper {
    thread: u64,
    unparker: Unparker,
}

/// How a worker is found that looks for a task.
pub(super) enum Recruit {
    Wake(Unparker),
    /// A worker was reserved under this number: its thread must be started, or abandoned.
    Start(u64),
    Nobody,
}

/// What a worker that woke up finds.
pub(super) enum WakeReason {
    /// It was taken off the sleepers and counted as searching.
    Notified,
    Retired,
    StillAsleep,
}

impl WorkerTable {
    fn room(&self) -> isize {
        self.room_below(self.max)
    }

    /// How many workers may be added until `limit` do not wait in a join.
    fn room_below(&self, limit: usize) -> isize {
        let replaced = self.blocked.min(self.max).min(MAX_REPLACED);
        let signed = |count: usize| isize::try_from(count).unwrap_or(isize::MAX);
        signed(limit.saturating_add(replaced)) - signed(self.workers)
    }

    fn limit(&self, now: Duration, may_grow: bool) -> usize {
        let limit = if may_grow { self.max } else { self.min };
        // While starting is paused, there is no room beyond the workers that exist.
        if now < self.paused_until { limit.min(self.workers.max(1)) } else { limit }
    }

    fn reserve_thread(&mut self) -> u64 {
        self.next_thread += 1;
        self.live += 1;
        self.starting += 1;
        self.next_thread
    }
}

impl Workers {
    pub(super) fn new(min: usize, max: usize) -> Self {
        let workers = Self {
            table: Mutex::new(WorkerTable { min, max, ..WorkerTable::default() }),
            changed: Condvar::new(),
            searching: AtomicUsize::new(0),
            notified: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            room: AtomicIsize::new(0),
            awake: AtomicUsize::new(0),
        };
        workers.update(|_| ());
        workers
    }

    /// Changes the table, and then the copies that are read without the lock.
    fn update<R>(&self, change: impl FnOnce(&mut WorkerTable) -> R) -> R {
        let mut table = self.table.lock();
        let result = change(&mut table);
        self.idle.store(table.sleepers.len(), Ordering::SeqCst);
        self.room.store(table.room(), Ordering::SeqCst);
        self.awake.store(table.workers.saturating_sub(table.sleepers.len()), Ordering::Relaxed);
        result
    }

    /// Whether no worker searches, and one might be woken or started. For a task that is to have a
    /// worker of its own (`eager`), workers that were notified for other tasks do not count as
    /// searching.
    #[inline]
    pub(super) fn may_recruit(&self, eager: bool) -> bool {
        let searching = self.searching.load(Ordering::SeqCst);
        let busy = if eager { self.notified.load(Ordering::SeqCst) } else { 0 };
        searching <= busy
            && (self.idle.load(Ordering::SeqCst) > 0 || self.room.load(Ordering::SeqCst) > 0)
    }

    /// A worker that was notified has looked for its task.
    pub(super) fn acknowledge(&self) {
        self.notified.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether there are more workers than there may be.
    #[inline]
    pub(super) fn is_surplus(&self) -> bool {
        self.room.load(Ordering::SeqCst) < 0
    }

    /// How many workers were not asleep a moment ago.
    pub(super) fn awake(&self) -> usize {
        self.awake.load(Ordering::Relaxed)
    }

    /// Chooses a worker to look for a task and counts it as searching. Without `may_grow`, no
    /// worker beyond the minimum is started. `finished` is asked under the lock: a finished pool
    /// starts no thread.
    pub(super) fn recruit(
        &self,
        now: Duration,
        may_grow: bool,
        finished: impl Fn() -> bool,
    ) -> Recruit {
        self.update(|table| {
            if let Some(sleeper) = table.sleepers.pop() {
                self.count_notified(1);
                return Recruit::Wake(sleeper.unparker);
            }
            let limit = table.limit(now, may_grow);
            if now < table.paused_until || table.room_below(limit) <= 0 || finished() {
                return Recruit::Nobody;
            }
            Recruit::Start(self.reserve_worker(table))
        })
    }

    /// Reserves one of the workers that a pool starts with.
    pub(super) fn reserve_first(&self) -> u64 {
        self.update(|table| self.reserve_worker(table))
    }

    fn reserve_worker(&self, table: &mut WorkerTable) -> u64 {
        table.workers += 1;
        self.count_notified(1);
        table.reserve_thread()
    }

    fn count_notified(&self, workers: usize) {
        self.searching.fetch_add(workers, Ordering::SeqCst);
        self.notified.fetch_add(workers, Ordering::SeqCst);
    }

    /// Reserves a thread that is not a worker.
    pub(super) fn reserve_other(&self) -> u64 {
        self.update(WorkerTable::reserve_thread)
    }

    /// Stores the handle of a thread that was started.
    pub(super) fn store(&self, thread: u64, handle: ThreadHandle, is_worker: bool) {
        self.update(|table| {
            table.starting -= 1;
            table.handles.insert(thread, handle);
            if is_worker {
                table.stats.started += 1;
                table.stats.peak = table.stats.peak.max(table.workers);
            }
        });
        self.changed.notify_all();
    }

    /// Takes back the reservation of a thread that the system refused, and pauses starting.
    pub(super) fn abandon(&self, now: Duration, is_worker: bool) {
        self.update(|table| {
            table.starting -= 1;
            table.live -= 1;
            table.stats.failed_starts += 1;
            table.paused_until = now.saturating_add(START_PAUSE);
            if is_worker {
                table.workers -= 1;
                self.acknowledge();
                self.searching.fetch_sub(1, Ordering::SeqCst);
            }
        });
        self.changed.notify_all();
    }

    /// Registers a searching worker as asleep. It must look for work once more before it parks.
    pub(super) fn fall_asleep(&self, thread: u64, unparker: Unparker) {
        self.update(|table| {
            table.sleepers.push(Sleeper { thread, unparker });
            self.searching.fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// Takes a worker off the sleepers, unless a notification has done so; it counts as searching
    /// in either case. `true` if it was notified.
    pub(super) fn leave_sleepers(&self, thread: u64) -> bool {
        self.update(|table| {
            let at = table.sleepers.iter().position(|other| other.thread == thread);
            if let Some(at) = at {
                table.sleepers.remove(at);
                self.searching.fetch_add(1, Ordering::SeqCst);
            }
            at.is_none()
        })
    }

    /// Decides about a parked worker that woke up. With `idle_too_long`, it retires if it is above
    /// the minimum.
    pub(super) fn check(&self, thread: u64, idle_too_long: bool) -> WakeReason {
        self.update(|table| {
            let Some(at) = table.sleepers.iter().position(|other| other.thread == thread) else {
                return WakeReason::Notified;
            };
            if !idle_too_long || table.workers <= table.min {
                return WakeReason::StillAsleep;
            }
            table.sleepers.remove(at);
            table.workers -= 1;
            table.stats.retired += 1;
            WakeReason::Retired
        })
    }

    /// Removes a worker that is awake from the set if there are too many; `true` if so. It then no
    /// longer counts as searching.
    pub(super) fn dismiss_surplus(&self, searching: bool) -> bool {
        self.update(|table| {
            if table.room() >= 0 {
                return false;
            }
            table.workers -= 1;
            table.stats.retired += 1;
            if searching {
                self.searching.fetch_sub(1, Ordering::SeqCst);
            }
            true
        })
    }

    /// Removes a searching worker of a finished pool from the set.
    pub(super) fn dismiss(&self) {
        self.update(|table| {
            table.workers -= 1;
            self.searching.fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// Reports the end of a thread: the last thing that it does.
    pub(super) fn thread_ends(&self, thread: u64) {
        self.update(|table| {
            table.live -= 1;
            table.ended.push(thread);
        });
        self.changed.notify_all();
    }

    /// Wakes all sleepers and all threads in `shutdown`, to look once more. The latter, because a
    /// task that is refused counts as pending for a moment: if the last thread ends in that moment,
    /// no later event tells `shutdown` that the pool is finished.
    pub(super) fn wake_all(&self) {
        let sleepers = self.update(|table| {
            self.count_notified(table.sleepers.len());
            std::mem::take(&mut table.sleepers)
        });
        self.changed.notify_all();
        for sleeper in sleepers {
            sleeper.unparker.unpark();
        }
    }

    /// A worker begins to wait in a join. Another may take its place.
    pub(super) fn block(&self) {
        self.update(|table| table.blocked += 1);
    }

    pub(super) fn unblock(&self) {
        self.update(|table| table.blocked -= 1);
    }

    /// Whether one more blocked worker could be replaced.
    pub(super) fn may_replace(&self) -> bool {
        let table = self.table.lock();
        table.blocked < table.max.min(MAX_REPLACED)
    }

    pub(super) fn set_max(&self, max: usize) {
        self.update(|table| {
            table.max = max;
            table.min = table.min.min(max);
        });
    }

    pub(super) fn max(&self) -> usize {
        self.table.lock().max
    }

    /// Until when starting is paused because the system refused a thread.
    pub(super) fn paused_until(&self) -> Duration {
        self.table.lock().paused_until
    }

    pub(super) fn stats(&self, now: Duration, under_pressure: bool) -> WorkerStats {
        let table = self.table.lock();
        WorkerStats {
            now: table.workers,
            idle: table.sleepers.len(),
            limit: table.limit(now, !under_pressure),
            ..table.stats.clone()
        }
    }

    /// Joins the threads that have ended. Called when one is started, so that there are never more
    /// handles of ended threads than there were threads at a time.
    pub(super) fn reap(&self) {
        let ended = self.update(take_handles);
        join_all(ended);
    }

    /// Waits until all threads have ended and joins them. On a thread of the pool (`inside`), does
    /// not wait for those that wait here too. The error is the number of threads left at the
    /// deadline.
    pub(super) fn wait_for_end(
        &self,
        deadline: Option<Instant>,
        inside: bool,
        finished: impl Fn() -> bool,
    ) -> Result<(), usize> {
        let mut table = self.table.lock();
        if inside {
            table.inside += 1;
            self.changed.notify_all();
        }
        let result = loop {
            let all_ended = if inside { table.live == table.inside } else { table.live == 0 };
            if all_ended && table.starting == 0 && (inside || finished()) {
                break Ok(());
            }
            let late = match deadline {
                None => {
                    self.changed.wait(&mut table);
                    false
                }
                Some(at) => self.changed.wait_until(&mut table, at).timed_out(),
            };
            if late {
                break Err(table.live);
            }
        };
        if inside {
            table.inside -= 1;
        }
        let ended = take_handles(&mut table);
        drop(table);
        join_all(ended);
        result
    }
}

/// Takes the handles of ended threads. An ended thread whose handle is not stored yet stays listed.
fn take_handles(table: &mut WorkerTable) -> Vec<ThreadHandle> {
    let mut taken = Vec::new();
    let handles = &mut table.handles;
    table.ended.retain(|thread| handles.remove(thread).map(|handle| taken.push(handle)).is_none());
    taken
}

fn join_all(handles: Vec<ThreadHandle>) {
    for handle in handles {
        // An error means that the thread panicked. `Registration` has reported its end all the
        // same.
        let _ = handle.join();
    }
}
