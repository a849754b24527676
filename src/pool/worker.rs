//! The loop of a worker, and what a thread knows about the pool it belongs to.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use crossbeam::sync::Parker;

use super::crew::Awake;
use super::gate::Passed;
use super::queues::{Found, Local};
use super::shared::Shared;
use super::task::{TaskRef, TaskStatus, drop_quietly};
use crate::cancel::CancelToken;

/// Tasks that run one inside the other on one worker, by joins, before a join waits for another
/// worker instead: each takes stack.
const MAX_INLINED: usize = 64;
/// Idle time is lengthened by up to 1/8 of itself, in this many steps by worker, so that workers
/// that fell asleep together do not retire together.
const JITTER_STEPS: u64 = 8;

thread_local! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
}

/// What a thread of a pool knows. Nothing of a user's runs while it is borrowed.
#[derive(Clone)]
struct Current {
    shared: Arc<Shared>,
    /// `None` in a thread that is not a worker.
    local: Option<Rc<Local>>,
    running: Option<TaskRef>,
    inlined: usize,
    /// The gates of the task that the worker took; tasks inlined in it went through none.
    passed: Passed,
}

fn current() -> Option<Current> {
    CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()
}

/// Applies `change` to this thread's entry; nothing if there is none.
fn change_current<R>(change: impl FnOnce(&mut Current) -> R) -> Option<R> {
    CURRENT.try_with(|current| current.borrow_mut().as_mut().map(change)).ok().flatten()
}

fn set_current(entry: Option<Current>) {
    let previous = CURRENT.try_with(|current| current.replace(entry));
    drop(previous);
}

/// The token of the task that runs on this thread: cancelled when the task, or the token it was
/// spawned under, is. `None` outside a pool's tasks. A long task asks it at its stopping points.
pub fn current_token() -> Option<CancelToken> {
    let running = change_current(|current| current.running.clone()).flatten()?;
    Some(running.header().token().clone())
}

/// Whether this thread belongs to the pool.
pub(super) fn is_of(shared: &Shared) -> bool {
    change_current(|current| std::ptr::eq(&raw const *current.shared, shared)).unwrap_or(false)
}

/// Calls `push` with this thread's queues if it is a worker of the pool.
pub(super) fn with_local(shared: &Shared, push: impl FnOnce(&Local)) {
    change_current(|current| {
        if let Some(local) = &current.local
            && std::ptr::eq(&raw const *current.shared, shared)
        {
            push(local);
        }
    });
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
pub(super) fn run_other(shared: &Arc<Shared>, thread: u64, body: impl FnOnce()) {
    let _enrolled = enroll(shared, thread, None);
    body();
}

fn enroll(shared: &Arc<Shared>, thread: u64, local: Option<Rc<Local>>) -> Enrolled<'_> {
    let passed = Passed::default();
    let shared_too = Arc::clone(shared);
    set_current(Some(Current { shared: shared_too, local, running: None, inlined: 0, passed }));
    Enrolled { shared, thread }
}

/// The body of a worker. Its reservation counted it as searching.
pub(super) fn run(shared: &Arc<Shared>, thread: u64) {
    let local = Rc::new(shared.queues().add_local(thread));
    let _enrolled = enroll(shared, thread, Some(Rc::clone(&local)));
    let mut worker =
        Worker { shared, thread, local: &local, parker: Parker::new(), searching: true };
    worker.work();
    // What is left goes to the others: after the books say that this worker is gone, a look for
    // work that it may have missed (README, "Retiring").
    shared.queues().remove(&local);
    shared.notify();
}

struct Worker<'a> {
    shared: &'a Arc<Shared>,
    thread: u64,
    local: &'a Local,
    parker: Parker,
    /// Whether the crew counts this worker as searching.
    searching: bool,
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
                return;
            }
            if let Some(found) = self.shared.find(self.local) {
                self.stop_searching();
                self.execute(found);
            } else if !self.searching {
                self.start_searching();
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

    fn execute(&mut self, found: Found) {
        let Found { task, passed, .. } = found;
        let running = Some(Arc::clone(&task));
        change_current(|current| (current.running, current.passed) = (running, passed));
        task.run(self.shared);
        let done = change_current(|current| current.running.take());
        drop_quietly((done, task));
        if passed.any() {
            // Searching first: then the gate that opens needs no notification, for this worker
            // looks around before it sleeps, and sends another if it finds something.
            self.start_searching();
            leave_gates(self.shared, passed);
        }
    }

    /// Sleeps until there is work, unless it is time to go.
    fn rest(&mut self) -> Rest {
        let crew = &self.shared.crew;
        crew.fall_asleep(self.thread, self.parker.unparker().clone());
        self.searching = false;
        // Pairs with the fence in `Shared::notify`.
        fence(Ordering::SeqCst);
        if self.shared.must_stay_awake() {
            crew.rise(self.thread);
            self.searching = true;
            if self.shared.is_finished() {
                crew.dismiss();
                return Rest::Leave;
            }
            return Rest::LookAgain;
        }
        self.shared.counters.parks.fetch_add(1, Ordering::Relaxed);
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

fn leave_gates(shared: &Shared, passed: Passed) {
    if passed.cpu {
        shared.queues().cpu_gate.leave();
    }
    if passed.low {
        shared.queues().low_gate.leave();
    }
}

fn re_enter_gates(shared: &Shared, passed: Passed) {
    if passed.cpu {
        shared.queues().cpu_gate.re_enter();
    }
    if passed.low {
        shared.queues().low_gate.re_enter();
    }
}

/// Runs `wait`, which blocks this thread. On a worker, others may take its place and its permits
/// meanwhile.
pub(super) fn blocking<R>(wait: impl FnOnce() -> R) -> R {
    let Some(current) = current().filter(|current| current.local.is_some()) else { return wait() };
    let (shared, passed) = (current.shared, current.passed);
    shared.crew.block();
    leave_gates(&shared, passed);
    shared.notify();
    let result = wait();
    re_enter_gates(&shared, passed);
    shared.crew.unblock();
    result
}

/// On a worker of the task's pool: runs the task here if it is queued, or delayed and due. Returns
/// when it is running elsewhere or has ended.
pub(super) fn help(task: &TaskRef, wait_ended: impl Fn(Option<Instant>)) {
    let header = task.header();
    let Some(current) = current().filter(|current| {
        current.local.is_some()
            && std::ptr::eq(Arc::as_ptr(&current.shared), header.shared.as_ptr())
    }) else {
        return;
    };
    let shared = &current.shared;
    // A delayed task that is not due is waited for, then looked at again; each other state ends
    // the loop.
    while header.status() == TaskStatus::Delayed {
        let now = shared.clock.monotonic();
        if header.due > now {
            blocking(|| wait_ended(Instant::now().checked_add(header.due.saturating_sub(now))));
        } else if header.claim_delayed() {
            shared.timekeeper.note_stale();
            shared.settle();
            return run_inlined(shared, task, &current);
        }
    }
    // Deeper than that, wait for another worker, if there may be one.
    if current.inlined >= MAX_INLINED && shared.crew.may_replace() {
        return;
    }
    if shared.accept(task) {
        run_inlined(shared, task, &current);
    }
}

/// Runs a task that was just claimed inside the one that joins it.
fn run_inlined(shared: &Arc<Shared>, task: &TaskRef, outer: &Current) {
    shared.counters.inlined.fetch_add(1, Ordering::Relaxed);
    let running = Some(Arc::clone(task));
    change_current(|current| {
        current.inlined += 1;
        current.running = running;
    });
    task.run(shared);
    let outer_task = outer.running.clone();
    let inner = change_current(|current| {
        current.inlined -= 1;
        std::mem::replace(&mut current.running, outer_task)
    });
    drop(inner);
}
