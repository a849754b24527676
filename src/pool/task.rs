//! A task as its pool sees it, whatever it returns, and the handle to it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::TaskError;
use super::priority::Priority;
use super::record::{Header, Record};
use super::shared::Shared;
use super::stats::{Refusal, Tally};
use super::{spin, worker};
use crate::cancel::{CancelGuard, CancelToken};

/// Name of tasks that were given none.
pub(super) const UNNAMED: &str = "task";

/// A number that no other task of the same pool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TaskId(pub u64);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
#[repr(u8)]
pub enum TaskStatus {
    /// Waits for its time.
    Delayed,
    /// Waits for a worker.
    Queued,
    /// Its closure runs.
    Running,
    /// Its closure returned.
    Done,
    /// Its closure panicked.
    Panicked,
    /// It was cancelled before it started.
    Cancelled,
    /// The pool did not take it.
    Rejected,
}

impl TaskStatus {
    pub(super) const ALL: [Self; 7] = [
        Self::Delayed,
        Self::Queued,
        Self::Running,
        Self::Done,
        Self::Panicked,
        Self::Cancelled,
        Self::Rejected,
    ];

    /// Whether the task will not change any more.
    pub fn is_ended(self) -> bool {
        !matches!(self, Self::Delayed | Self::Queued | Self::Running)
    }
}

/// A live task as [`Pool::tasks`](super::Pool::tasks) lists it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TaskInfo {
    /// The task's number.
    pub id: TaskId,
    /// The name given to [`Pool::task`](super::Pool::task); `"task"` for the others.
    pub name: &'static str,
    /// Its level.
    pub priority: Priority,
    /// Where it stands.
    pub status: TaskStatus,
    /// Time since it was submitted.
    pub age: Duration,
}

/// A task without its types, as queues and hands hold it.
pub(super) trait Runnable: Send + Sync {
    fn header(&self) -> &Header;

    /// The task as it is listed.
    fn info(&self, now: Duration) -> TaskInfo;

    /// Monotonic reading from which on it may start.
    fn due(&self) -> Duration;

    /// `from` → Running, by who gets `true`: it then runs the closure and publishes what came of
    /// it, before this returns. `detached`: nobody has a handle, or ever will.
    fn run(&self, from: TaskStatus, shared: &Shared, tally: &Tally, detached: bool) -> bool;

    /// Delayed → Queued.
    fn promote(&self) -> bool;

    /// Delayed or Queued → ended by `error`, its closure dropped here; `false` if it had started or
    /// ended. `leaving` is told the state that it left before the closure goes.
    fn withdraw(&self, error: TaskError, leaving: &mut dyn FnMut(TaskStatus)) -> bool;

    /// The task's token, made when it is first asked for.
    fn token(&self) -> CancelToken;

    /// Hangs the task's token below another one. Called once, before the task can start.
    fn link(&self, token: CancelToken, guard: CancelGuard);
}

pub(super) type TaskRef = Arc<dyn Runnable>;

/// Ends a task that has not started, dropping its closure here. `false` if it has.
pub(super) fn withdraw(task: &dyn Runnable, error: TaskError) -> bool {
    let header = task.header();
    let how = match error {
        TaskError::Rejected => Refusal::Rejected,
        _ => Refusal::Cancelled,
    };
    task.withdraw(error, &mut |left| {
        if let Some(shared) = header.pool.find() {
            if left == TaskStatus::Delayed {
                shared.timekeeper.note_stale();
            }
            // Before the closure goes: it may hold the pool's last handle, whose drop waits until
            // nothing is pending.
            shared.withdrawn(header.priority, how);
        }
    })
}

/// Cancels a task wherever it stands: withdraws it or sets its token.
pub(super) fn cancel(task: &dyn Runnable) {
    if !withdraw(task, TaskError::Cancelled) && !task.header().status().is_ended() {
        task.token().cancel();
    }
}

/// Drops what a user made. A panic in a destructor ends here.
#[inline]
pub(super) fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        forget_payload(payload);
    }
}

/// A panic's payload may itself panic when dropped; a second such panic is leaked, not chased.
pub(super) fn forget_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

/// Saturates after 584 years.
#[inline]
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Hangs a task below `parent`: cancelling that withdraws the task or, if it runs, sets its token.
/// Call before the task can start.
pub(super) fn attach(task: &TaskRef, parent: &CancelToken) {
    let child = parent.child();
    let weak = Arc::downgrade(task);
    let guard = child.on_cancel(move || {
        if let Some(task) = weak.upgrade() {
            withdraw(&*task, TaskError::Cancelled);
        }
    });
    task.link(child, guard);
}

/// A task without its closure's type, as its handle holds it.
pub(super) trait Outcome<T>: Runnable {
    /// Waits until the task ended, and takes its outcome; `None` if `deadline` came first.
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<T, TaskError>>;

    /// Waits until the task ended or `deadline` came.
    fn wait_ended(&self, deadline: Option<Instant>);
}

/// The handle to a task. Dropping it detaches the task, which runs all the same.
pub struct Task<T> {
    outcome: Arc<dyn Outcome<T>>,
}

impl<T: Send + 'static> Task<T> {
    pub(super) fn new<F: FnOnce() -> T + Send + 'static>(record: Arc<Record<F, T>>) -> Self {
        Self { outcome: record }
    }

    /// Waits for the task to end and gives its result.
    ///
    /// On a worker of the task's own pool, a task still queued is run right here (a delayed one
    /// when it is due); if it runs elsewhere, the pool may start a worker in place of this one while
    /// it waits. So joining cannot use up the workers that the joined task needs. No other task is
    /// run meanwhile.
    pub fn join(self) -> Result<T, TaskError> {
        if worker::is_worker() {
            let task: TaskRef = Arc::clone(&self.outcome) as TaskRef;
            worker::help(&task, |deadline| self.outcome.wait_ended(deadline));
        }
        // A wait without deadline gives the outcome; asked again, it would only wait again.
        let waiting = || loop {
            if let Some(outcome) = self.outcome.wait(None) {
                break outcome;
            }
        };
        if self.ends_soon() { waiting() } else { worker::blocking(waiting) }
    }

    /// Waits at most `timeout`; `None` if the task has not ended by then. Once it gave the result,
    /// later calls give [`TaskError::Taken`].
    pub fn join_timeout(&self, timeout: Duration) -> Option<Result<T, TaskError>> {
        if let Some(outcome) = self.try_join() {
            return Some(outcome);
        }
        let deadline = Instant::now().checked_add(timeout);
        if self.ends_soon() {
            return self.outcome.wait(deadline);
        }
        worker::blocking(|| self.outcome.wait(deadline))
    }

    /// Whether the task has ended, or does so in the time that falling asleep would take.
    fn ends_soon(&self) -> bool {
        self.status().is_ended()
            || (!worker::is_worker() && spin::briefly(|| self.status().is_ended()))
    }

    /// The result if the task has ended; `None` if not. Once it gave the result, later calls give
    /// [`TaskError::Taken`].
    pub fn try_join(&self) -> Option<Result<T, TaskError>> {
        if !self.status().is_ended() {
            return None;
        }
        self.outcome.wait(Some(Instant::now()))
    }

    /// Cancels the task. One that has not started never will, and its closure is dropped before
    /// this returns; a running one finds its token ([`current_token`](super::current_token))
    /// cancelled and goes on as it likes.
    pub fn cancel(&self) {
        cancel(&*self.outcome);
    }

    /// Where the task stands now.
    pub fn status(&self) -> TaskStatus {
        self.outcome.header().status()
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.outcome.header().id
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.outcome.header();
        f.debug_struct("Task").field("id", &header.id).field("status", &header.status()).finish()
    }
}
