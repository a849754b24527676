//! What a thread knows about the pool it belongs to.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::state::Scheduler;
use crate::cancel::CancelToken;
use crate::pool::queues::WorkerLocal;
use crate::pool::task::PoolNumber;
use crate::sync::thread_state;

thread_state! {
    static CURRENT: RefCell<Option<Current>> = const { RefCell::new(None) };
    /// The pool of `CURRENT`, kept apart because comparing it is cheaper than borrowing that.
    static POOL: Cell<Option<PoolNumber>> = const { Cell::new(None) };
}

/// A thread's entry. No user code runs while it is borrowed.
#[derive(Clone)]
struct Current {
    scheduler: Arc<Scheduler>,
    /// `None` on a thread that is not a worker.
    local: Option<Rc<WorkerLocal>>,
}

/// The token of the task that runs on this thread, or `None` outside a pool's tasks.
///
/// It is cancelled when the task is cancelled, or the token under which the task was spawned. A
/// long task checks it from time to time and returns early.
pub fn current_token() -> Option<CancelToken> {
    let (_, local) = current_worker()?;
    let running = local.queue.lock().running().cloned()?;
    Some(running.token())
}

/// This thread's scheduler and queue, if it is a worker.
pub(super) fn current_worker() -> Option<(Arc<Scheduler>, Rc<WorkerLocal>)> {
    let current = CURRENT.try_with(|current| current.borrow().clone()).ok().flatten()?;
    Some((current.scheduler, current.local?))
}

/// The pool that this thread belongs to.
#[inline]
pub(super) fn current_pool() -> Option<PoolNumber> {
    POOL.try_with(Cell::get).ok().flatten()
}

/// Whether this thread belongs to the pool.
#[inline]
pub(in crate::pool) fn belongs_to(scheduler: &Scheduler) -> bool {
    current_pool() == Some(scheduler.number)
}

/// Whether this thread belongs to any pool.
pub(in crate::pool) fn is_pool_thread() -> bool {
    current_pool().is_some()
}

/// Calls `push` with this thread's local queue if it is a worker of the pool.
#[inline]
pub(super) fn with_local(scheduler: &Scheduler, push: impl FnOnce(Option<&WorkerLocal>)) {
    if !belongs_to(scheduler) {
        return push(None);
    }
    let local = current_worker().map(|(_, local)| local);
    push(local.as_deref());
}

/// Registers this thread with its pool until the guard is dropped.
pub(super) fn register(
    scheduler: &Arc<Scheduler>,
    thread: u64,
    local: Option<Rc<WorkerLocal>>,
) -> Registration<'_> {
    set_current(Some(Current { scheduler: Arc::clone(scheduler), local }));
    Registration { scheduler, thread }
}

/// Reports the thread's end when it is dropped, so even if a panic escapes.
pub(super) struct Registration<'a> {
    scheduler: &'a Arc<Scheduler>,
    thread: u64,
}

impl Drop for Registration<'_> {
    fn drop(&mut self) {
        set_current(None);
        self.scheduler.workers.thread_ends(self.thread);
    }
}

fn set_current(entry: Option<Current>) {
    let number = entry.as_ref().map(|entry| entry.scheduler.number);
    // Both fail only when the thread's locals are destroyed, and then nothing reads them any more.
    let _ = POOL.try_with(|pool| pool.set(number));
    let previous = CURRENT.try_with(|current| current.replace(entry));
    drop(previous);
}
