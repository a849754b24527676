//! Who sleeps, who searches and which threads there are. The protocol is in this folder's README.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::shared::ThreadHandle;
use super::stats::WorkerStats;
use super::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};
use super::sync::{Condvar, Mutex, Unparker};

/// After the system refused a thread, none is asked for during this time.
const START_PAUSE: Duration = Duration::from_millis(500);
/// Workers blocked in a join that are replaced at most, however high the maximum is.
const MAX_REPLACED: usize = 64;

/// The workers of a pool, seen from outside their loops.
pub(super) struct Crew {
    state: Mutex<State>,
    /// Signalled when a thread ended, or its handle was stored, or a worker waits in `shutdown`.
    changed: Condvar,
    /// Workers that look for a task or were told to. `SeqCst`, see the README.
    pub(super) searching: AtomicUsize,
    /// Those of them that were woken or started for a task and have not looked for it yet. `SeqCst`,
    /// lowered before `searching` is and raised after it: never seen above it for long.
    called: AtomicUsize,
    /// Copy of `sleepers.len()`, written under the lock, read without.
    idle: AtomicUsize,
    /// Workers that may be added (below zero: must go), written under the lock, read without.
    room: AtomicIsize,
    /// Workers that are not asleep. A hint, written under the lock: relaxed.
    awake: AtomicUsize,
}

#[derive(Default)]
struct State {
    /// Most recently parked last, and woken first, so that surplus ones age out.
    sleepers: Vec<Sleeper>,
    min: usize,
    max: usize,
    workers: usize,
    /// Workers that wait in a join.
    blocked: usize,
    /// Threads, workers and timekeeper, that were reserved and have not ended.
    live: usize,
    /// Threads whose handle is not stored yet.
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

/// What to do about a task that nobody looks for.
pub(super) enum Recruit {
    Wake(Unparker),
    /// A worker was reserved under this number: start its thread, or `abandon` it.
    Start(u64),
    Nobody,
}

/// What a worker that woke up by time finds.
pub(super) enum Awake {
    /// Somebody took it off the sleepers and counted it as searching.
    Called,
    Retired,
    StillAsleep,
}

impl State {
    fn room(&self) -> isize {
        self.room_below(self.max)
    }

    /// Workers that may be added until there are `limit` that do not wait in a join.
    fn room_below(&self, limit: usize) -> isize {
        let replaced = self.blocked.min(self.max).min(MAX_REPLACED);
        let signed = |count: usize| isize::try_from(count).unwrap_or(isize::MAX);
        signed(limit.saturating_add(replaced)) - signed(self.workers)
    }

    fn limit(&self, now: Duration, may_grow: bool) -> usize {
        let limit = if may_grow { self.max } else { self.min };
        // What the system refused once it is not asked for again at once.
        if now < self.paused_until { limit.min(self.workers.max(1)) } else { limit }
    }

    fn reserve_thread(&mut self) -> u64 {
        self.next_thread += 1;
        self.live += 1;
        self.starting += 1;
        self.next_thread
    }
}

impl Crew {
    pub(super) fn new(min: usize, max: usize) -> Self {
        let crew = Self {
            state: Mutex::new(State { min, max, ..State::default() }),
            changed: Condvar::new(),
            searching: AtomicUsize::new(0),
            called: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            room: AtomicIsize::new(0),
            awake: AtomicUsize::new(0),
        };
        crew.update(|_| ());
        crew
    }

    /// Changes the state and then the copies that are read without the lock.
    fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        let result = change(&mut state);
        self.idle.store(state.sleepers.len(), Ordering::SeqCst);
        self.room.store(state.room(), Ordering::SeqCst);
        self.awake.store(state.workers.saturating_sub(state.sleepers.len()), Ordering::Relaxed);
        result
    }

    /// Whether nobody searches, and a look under the lock could find somebody to wake or room for
    /// one more. For a task of its own worker (`eager`), those do not count that were called for
    /// other tasks.
    #[inline]
    pub(super) fn may_recruit(&self, eager: bool) -> bool {
        let searching = self.searching.load(Ordering::SeqCst);
        let busy = if eager { self.called.load(Ordering::SeqCst) } else { 0 };
        searching <= busy
            && (self.idle.load(Ordering::SeqCst) > 0 || self.room.load(Ordering::SeqCst) > 0)
    }

    /// A worker that was called looks for its task now.
    pub(super) fn answer(&self) {
        self.called.fetch_sub(1, Ordering::SeqCst);
    }

    /// Whether there are more workers than there should be.
    #[inline]
    pub(super) fn is_surplus(&self) -> bool {
        self.room.load(Ordering::SeqCst) < 0
    }

    /// Workers that are not asleep, as of some moment.
    pub(super) fn awake(&self) -> usize {
        self.awake.load(Ordering::Relaxed)
    }

    /// Names somebody to look for work, counted as searching already. Without `may_grow`, no worker
    /// beyond the minimum is started. `finished` is asked under the lock: a pool that is finished
    /// starts no thread.
    pub(super) fn recruit(
        &self,
        now: Duration,
        may_grow: bool,
        finished: impl Fn() -> bool,
    ) -> Recruit {
        self.update(|state| {
            if let Some(sleeper) = state.sleepers.pop() {
                self.call(1);
                return Recruit::Wake(sleeper.unparker);
            }
            let limit = state.limit(now, may_grow);
            if now < state.paused_until || state.room_below(limit) <= 0 || finished() {
                return Recruit::Nobody;
            }
            Recruit::Start(self.reserve_worker(state))
        })
    }

    /// Reserves one of the workers that a pool begins with.
    pub(super) fn reserve_first(&self) -> u64 {
        self.update(|state| self.reserve_worker(state))
    }

    fn reserve_worker(&self, state: &mut State) -> u64 {
        state.workers += 1;
        self.call(1);
        state.reserve_thread()
    }

    fn call(&self, workers: usize) {
        self.searching.fetch_add(workers, Ordering::SeqCst);
        self.called.fetch_add(workers, Ordering::SeqCst);
    }

    /// Reserves a thread that is not a worker.
    pub(super) fn reserve_other(&self) -> u64 {
        self.update(State::reserve_thread)
    }

    /// Keeps the handle of a thread that was started.
    pub(super) fn store(&self, thread: u64, handle: ThreadHandle, is_worker: bool) {
        self.update(|state| {
            state.starting -= 1;
            state.handles.insert(thread, handle);
            if is_worker {
                state.stats.started += 1;
                state.stats.peak = state.stats.peak.max(state.workers);
            }
        });
        self.changed.notify_all();
    }

    /// Takes back the reservation of a thread that the system refused, and asks for no more for a
    /// while.
    pub(super) fn abandon(&self, now: Duration, is_worker: bool) {
        self.update(|state| {
            state.starting -= 1;
            state.live -= 1;
            state.stats.failed_starts += 1;
            state.paused_until = now.saturating_add(START_PAUSE);
            if is_worker {
                state.workers -= 1;
                self.answer();
                self.searching.fetch_sub(1, Ordering::SeqCst);
            }
        });
        self.changed.notify_all();
    }

    /// Registers a searching worker as asleep. It must look for work once more before it parks.
    pub(super) fn fall_asleep(&self, thread: u64, unparker: Unparker) {
        self.update(|state| {
            state.sleepers.push(Sleeper { thread, unparker });
            self.searching.fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// Takes a worker off the sleepers if nobody did; it counts as searching in either case. `true`
    /// if somebody did: it was called.
    pub(super) fn rise(&self, thread: u64) -> bool {
        self.update(|state| {
            let at = state.sleepers.iter().position(|other| other.thread == thread);
            if let Some(at) = at {
                state.sleepers.remove(at);
                self.searching.fetch_add(1, Ordering::SeqCst);
            }
            at.is_none()
        })
    }

    /// Decides about a parked worker that woke up; `idle_too_long` lets it retire if it is one too
    /// many.
    pub(super) fn check(&self, thread: u64, idle_too_long: bool) -> Awake {
        self.update(|state| {
            let Some(at) = state.sleepers.iter().position(|other| other.thread == thread) else {
                return Awake::Called;
            };
            if !idle_too_long || state.workers <= state.min {
                return Awake::StillAsleep;
            }
            state.sleepers.remove(at);
            state.workers -= 1;
            state.stats.retired += 1;
            Awake::Retired
        })
    }

    /// Lets a worker that is awake go if there are too many; it is not counted as searching any
    /// more then.
    pub(super) fn dismiss_surplus(&self, searching: bool) -> bool {
        self.update(|state| {
            if state.room() >= 0 {
                return false;
            }
            state.workers -= 1;
            state.stats.retired += 1;
            if searching {
                self.searching.fetch_sub(1, Ordering::SeqCst);
            }
            true
        })
    }

    /// Lets a searching worker of a finished pool go.
    pub(super) fn dismiss(&self) {
        self.update(|state| {
            state.workers -= 1;
            self.searching.fetch_sub(1, Ordering::SeqCst);
        });
    }

    /// The last thing that a thread of the pool does.
    pub(super) fn thread_ends(&self, thread: u64) {
        self.update(|state| {
            state.live -= 1;
            state.ended.push(thread);
        });
        self.changed.notify_all();
    }

    /// Wakes all sleepers, and who waits in `shutdown`, to look around once more. A refused task
    /// counts as pending for a moment, in which the last thread may end: `shutdown` must be told
    /// when that moment is over.
    pub(super) fn wake_all(&self) {
        let sleepers = self.update(|state| {
            self.call(state.sleepers.len());
            std::mem::take(&mut state.sleepers)
        });
        self.changed.notify_all();
        for sleeper in sleepers {
            sleeper.unparker.unpark();
        }
    }

    /// A worker begins to wait in a join: another may take its place.
    pub(super) fn block(&self) {
        self.update(|state| state.blocked += 1);
    }

    pub(super) fn unblock(&self) {
        self.update(|state| state.blocked -= 1);
    }

    /// Whether one more blocked worker would be replaced.
    pub(super) fn may_replace(&self) -> bool {
        let state = self.state.lock();
        state.blocked < state.max.min(MAX_REPLACED)
    }

    pub(super) fn set_max(&self, max: usize) {
        self.update(|state| {
            state.max = max;
            state.min = state.min.min(max);
        });
    }

    pub(super) fn max(&self) -> usize {
        self.state.lock().max
    }

    /// Until when no thread is asked for because the system refused one.
    pub(super) fn paused_until(&self) -> Duration {
        self.state.lock().paused_until
    }

    pub(super) fn stats(&self, now: Duration, under_pressure: bool) -> WorkerStats {
        let state = self.state.lock();
        WorkerStats {
            now: state.workers,
            idle: state.sleepers.len(),
            limit: state.limit(now, !under_pressure),
            ..state.stats.clone()
        }
    }

    /// Joins the threads that have ended. Called where a thread is started, so that there are never
    /// more such handles than there were threads at a time.
    pub(super) fn reap(&self) {
        let ended = self.update(take_handles);
        join_all(ended);
    }

    /// Waits until all threads have ended, or, on a thread of the pool, all but those that wait
    /// here too; then joins them. Gives the number of threads left at the deadline.
    pub(super) fn wait_for_end(
        &self,
        deadline: Option<Instant>,
        inside: bool,
        finished: impl Fn() -> bool,
    ) -> Result<(), usize> {
        let mut state = self.state.lock();
        if inside {
            state.inside += 1;
            self.changed.notify_all();
        }
        let result = loop {
            let all_ended = if inside { state.live == state.inside } else { state.live == 0 };
            if all_ended && state.starting == 0 && (inside || finished()) {
                break Ok(());
            }
            let late = match deadline {
                None => {
                    self.changed.wait(&mut state);
                    false
                }
                Some(at) => self.changed.wait_until(&mut state, at).timed_out(),
            };
            if late {
                break Err(state.live);
            }
        };
        if inside {
            state.inside -= 1;
        }
        let ended = take_handles(&mut state);
        drop(state);
        join_all(ended);
        result
    }
}

/// Takes the handles of ended threads; an ended thread whose handle is not stored yet stays listed.
fn take_handles(state: &mut State) -> Vec<ThreadHandle> {
    let mut taken = Vec::new();
    let handles = &mut state.handles;
    state.ended.retain(|thread| handles.remove(thread).map(|handle| taken.push(handle)).is_none());
    taken
}

fn join_all(handles: Vec<ThreadHandle>) {
    for handle in handles {
        // The error is a panic that the thread's guard reported already.
        let _ = handle.join();
    }
}
