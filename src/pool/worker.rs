//! The loop of a worker, and what a thread knows about the pool it belongs to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::crew::Awake;
use super::gate::Passed;
use super::hand::Local;
use super::shared::{PoolNumber, Shared};
use super::spin::{self, Habit};
use super::sync::Parker;
use super::sync::atomic::{Ordering, fence};
use super::sync::thread_state;
use super::task::{TaskRef, TaskStatus, drop_quietly};
use crate::cancel::CancelToken;

/// Tasks that run one inside the other on one worker, by joins, before a join waits for another
/// worker instead: each takes stack.
const MAX_INLINED: usize = 64;
/// Idle time is lengthened by up to 1/8 of itself, in this many steps by worker, so that workers
/// that fell asleep together do not retire together.
const JITTER_STEPS: u64 = 8;

thread_state! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
    /// The pool of `CURRENT`, to be compared without looking at that.
    static POOL: Cell<Option<PoolNumber>> = const { Cell::new(None) };
}

/// What a thread of a pool knows. Nothing of a user's runs while it is borrowed.
#[derive(Clone)]
struct Current {
    shared: Arc<Shared>,
    /// `None` in a thread that is not a worker.
    local: Option<Rc<Local>>,
}

/// This thread's entry, if it is a worker.
fn current_worker() -> Option<(Arc<Shared>, Rc<Local>)> {
    let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()?;
    Some((current.shared, current.local?))
}

fn set_current(entry: Option<Current>) {
    let number = entry.as_ref().map(|entry| entry.shared.number);
    // Both are gone only when the thread is about to end.
    let _ = POOL.try_with(|pool| pool.set(number));
    let previous = CURRENT.try_with(|current| current.replace(entry));
    drop(previous);
}

#[inline]
fn pool_of_this_thread() -> Option<PoolNumber> {
    POOL.try_with(Cell::get).ok().flatten()
}

/// The token of the task that runs on this thread: cancelled when the task, or the token it was
/// spawned under, is. `None` outside a pool's tasks. A long task asks it at its stopping points.
pub fn current_token() -> Option<CancelToken> {
    let (_, local) = current_worker()?;
    let running = local.hand.cards().running().cloned()?;
    Some(running.token())
}

/// Whether this thread belongs to the pool.
#[inline]
pub(super) fn is_of(shared: &Shared) -> bool {
    pool_of_this_thread() == Some(shared.number)
}

/// Whether this thread belongs to a pool.
pub(super) fn is_worker() -> bool {
    pool_of_this_thread().is_some()
}

/// Calls `push` with this thread's hand if it is a worker of the pool.
#[inline]
pub(super) fn with_local(shared: &Shared, push: impl FnOnce(Option<&Local>)) {
    if !is_of(shared) {
        return push(None);
    }
    let local = current_worker().map(|(_, local)| local);
    push(local.as_deref());
}

/// Takes the thread off the books when it ends, also by a panic that should not be.
struct Enrolled<'a> {
    shared: &'a Arc<Shared>,
    thread: u64,
}

impl Drop for Enrolled<'_> {
    fn drop(&mut self) {
        set_current(None);
        self.shared.crew.thread_ends(self.thread);
    }
}

/// The body of a pool's thread that is not a worker.
pub(super) fn run_other(shared: &Arc<Shared>, thread: u64, body: impl FnOnce(&Shared)) {
    let _enrolled = enroll(shared, thread, None);
    body(shared);
}

fn enroll(shared: &Arc<Shared>, thread: u64, local: Option<Rc<Local>>) -> Enrolled<'_> {
    set_current(Some(Current { shared: Arc::clone(shared), local }));
    Enrolled { shared, thread }
}

/// The body of a worker. Its reservation counted it as searching.
pub(super) fn run(shared: &Arc<Shared>, thread: u64) {
    let local = Rc::new(shared.queues.add(thread));
    let _enrolled = enroll(shared, thread, Some(Rc::clone(&local)));
    let mut worker = Worker {
        shared,
        thread,
        local: &local,
        parker: Parker::new(),
        searching: true,
        called: true,
        worked: false,
        habit: Habit::default(),
    };
    worker.work();
    // What is left goes to the others: after the books say that this worker is gone, a look for
    // work that it may have missed (README, "Retiring").
    shared.queues.remove(&local);
    shared.notify();
}

struct Worker<'a> {
    shared: &'a Arc<Shared>,
    thread: u64,
    local: &'a Local,
    parker: Parker,
    /// Whether the crew counts this worker as searching.
    searching: bool,
    /// Whether it was woken or started for a task and has not looked for it yet.
    called: bool,
    /// Whether it has run a task since it last spun or slept.
    worked: bool,
    habit: Habit,
}

/// What became of a worker that found nothing to do.
enum Rest {
    LookAgain,
    Leave,
}

impl Worker<'_> {
    fn work(&mut self) {
        loop {
            let crew = &self.shared.crew;
            if crew.is_surplus() && crew.dismiss_surplus(self.searching) {
                if self.called {
                    crew.answer();
                }
                return;
            }
            let found = self.shared.find(self.local);
            if std::mem::take(&mut self.called) {
                crew.answer();
            }
            if let Some(task) = found {
                self.stop_searching();
                self.execute(task);
            } else if !self.searching {
                self.start_searching();
            } else if self.spin() {
                // There is something: look what it is.
            } else if let Rest::Leave = self.rest() {
                return;
            }
        }
    }

    fn start_searching(&mut self) {
        self.shared.crew.searching.fetch_add(1, Ordering::SeqCst);
        self.searching = true;
    }

    /// The last searcher that found something sends another: whoever pushed meanwhile relied on it.
    fn stop_searching(&mut self) {
        if std::mem::take(&mut self.searching)
            && self.shared.crew.searching.fetch_sub(1, Ordering::SeqCst) == 1
        {
            self.shared.notify();
        }
    }

    fn execute(&mut self, task: TaskRef) {
        if self.local.passed.get().has_cpu() {
            // It may be the one that the others wait for.
            self.shared.watch_for_stalls();
        }
        self.worked |= self.shared.run(&task, TaskStatus::Queued, self.local);
        drop_quietly(task);
        let passed = self.local.passed.take();
        if passed.any() {
            // Searching first: then the gate that opens needs no notification, for this worker
            // looks around before it sleeps, and sends another if it finds something.
            self.start_searching();
            self.shared.queues.leave(passed);
        }
    }

    /// After work, and if there is a core to spare and nobody else does it, looks out for a moment
    /// for work that comes at once. `true` if some came.
    fn spin(&mut self) -> bool {
        let crew = &self.shared.crew;
        if !std::mem::take(&mut self.worked)
            || crew.searching.load(Ordering::Relaxed) > 1
            || crew.awake() >= spin::cores()
        {
            return false;
        }
        self.habit.spin(|| self.shared.queues.has_work())
    }

    /// Sleeps until there is work, unless it is time to go.
    fn rest(&mut self) -> Rest {
        let crew = &self.shared.crew;
        crew.fall_asleep(self.thread, self.parker.unparker().clone());
        self.searching = false;
        // Pairs with the fence in `Shared::notify`.
        fence(Ordering::SeqCst);
        if self.shared.must_stay_awake() {
            let called = crew.rise(self.thread);
            self.searching = true;
            self.called = called;
            if self.shared.is_finished() {
                if called {
                    crew.answer();
                }
                crew.dismiss();
                // The others may have gone to sleep before the last task was started.
                crew.wake_all();
                return Rest::Leave;
            }
            return Rest::LookAgain;
        }
        self.local.hand.tally.parked();
        let mut until = Instant::now().checked_add(self.patience());
        loop {
            match until {
                Some(at) => self.parker.park_deadline(at),
                None => self.parker.park(),
            }
            let idle_too_long = until.is_some_and(|at| Instant::now() >= at);
            match crew.check(self.thread, idle_too_long) {
                Awake::Called => {
                    self.searching = true;
                    self.called = true;
                    return Rest::LookAgain;
                }
                Awake::Retired => return Rest::Leave,
                // One of the minimum: from now on it sleeps without being woken by time.
                Awake::StillAsleep if idle_too_long => until = None,
                Awake::StillAsleep => {}
            }
        }
    }

    fn patience(&self) -> Duration {
        let step = u32::try_from(self.thread % JITTER_STEPS).unwrap_or(0);
        let timeout = self.shared.idle_timeout;
        timeout.saturating_add(timeout / 64 * step)
    }
}

/// Runs `wait`, which blocks this thread. On a worker, others may take its place and its permits
/// meanwhile.
pub(super) fn blocking<R>(wait: impl FnOnce() -> R) -> R {
    let Some((shared, local)) = current_worker() else { return wait() };
    let passed = local.passed.replace(Passed::default());
    shared.crew.block();
    shared.queues.leave(passed);
    shared.notify();
    let result = wait();
    shared.queues.re_enter(passed);
    local.passed.set(passed);
    shared.crew.unblock();
    result
}

/// On a worker of the task's pool: runs the task here if it is queued, or delayed and due. Returns
/// when it is running elsewhere or has ended.
pub(super) fn help(task: &TaskRef, wait_ended: impl Fn(Option<Instant>)) {
    let header = task.header();
    if pool_of_this_thread() != Some(header.pool) {
        return;
    }
    let Some((shared, local)) = current_worker() else { return };
    // A delayed task that is not due is waited for, then looked at again; each other state ends
    // the loop.
    while header.status() == TaskStatus::Delayed {
        let now = shared.clock.monotonic();
        let left = task.due().saturating_sub(now);
        if !left.is_zero() {
            blocking(|| wait_ended(Instant::now().checked_add(left)));
        } else if run_inlined(&shared, task, TaskStatus::Delayed, &local) {
            return shared.timekeeper.note_stale();
        }
    }
    // Deeper than that, wait for another worker, if there may be one.
    if local.inlined.get() >= MAX_INLINED && shared.crew.may_replace() {
        return;
    }
    if header.status() == TaskStatus::Queued {
        run_inlined(&shared, task, TaskStatus::Queued, &local);
    }
}

/// Runs a task, if it is in the state `from` still, inside the one that joins it.
fn run_inlined(shared: &Shared, task: &TaskRef, from: TaskStatus, local: &Local) -> bool {
    local.inlined.set(local.inlined.get() + 1);
    local.hand.cards().begin(task);
    let ran = shared.run(task, from, local);
    let ended = local.hand.cards().end();
    drop_quietly(ended);
    local.inlined.set(local.inlined.get() - 1);
    if ran {
        local.hand.tally.inlined();
    }
    ran
}
