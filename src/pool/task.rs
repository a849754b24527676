//! A task: its record, its states and the handle to it.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use serde::{Deserialize, Serialize};

use super::error::TaskError;
use super::priority::{Kind, Priority};
use super::shared::Shared;
use super::stats::End;
use super::worker;
use crate::cancel::{CancelGuard, CancelToken};

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
    const ALL: [Self; 7] = [
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

/// What every task has, whatever it returns.
pub(super) struct Header {
    pub(super) id: TaskId,
    pub(super) name: &'static str,
    pub(super) priority: Priority,
    pub(super) kind: Kind,
    /// Monotonic reading at submission.
    pub(super) submitted: Duration,
    /// Monotonic reading from which on it may start; `submitted` if it is not delayed.
    pub(super) due: Duration,
    pub(super) shared: Weak<Shared>,
    /// A [`TaskStatus`]. `AcqRel` steps: who makes one sees what led to the state before.
    state: AtomicU8,
    /// Made when first asked for, unless the task hangs below another token.
    token: OnceLock<CancelToken>,
    guard: Mutex<Option<CancelGuard>>,
}

impl Header {
    pub(super) fn status(&self) -> TaskStatus {
        TaskStatus::ALL[usize::from(self.state.load(Ordering::Acquire))]
    }

    fn step(&self, from: TaskStatus, to: TaskStatus) -> bool {
        self.state
            .compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }

    /// Delayed → Queued.
    pub(super) fn promote(&self) -> bool {
        self.step(TaskStatus::Delayed, TaskStatus::Queued)
    }

    /// Queued → Running. Who succeeds must run it.
    pub(super) fn claim(&self) -> bool {
        self.step(TaskStatus::Queued, TaskStatus::Running)
    }

    /// Delayed → Running, for a joiner that is there when the task is due.
    pub(super) fn claim_delayed(&self) -> bool {
        self.step(TaskStatus::Delayed, TaskStatus::Running)
    }

    /// Delayed or Queued → `to`; gives the state that it left. Who succeeds must discard it.
    fn withdraw(&self, to: TaskStatus) -> Option<TaskStatus> {
        // A delayed task becomes queued, never the other way: two tries in this order suffice.
        [TaskStatus::Delayed, TaskStatus::Queued].into_iter().find(|from| self.step(*from, to))
    }

    pub(super) fn token(&self) -> &CancelToken {
        self.token.get_or_init(CancelToken::new)
    }

    /// Stops listening to the token above.
    fn let_go(&self) {
        let guard = self.guard.lock().take();
        drop(guard);
    }

    pub(super) fn info(&self, now: Duration) -> TaskInfo {
        TaskInfo {
            id: self.id,
            name: self.name,
            priority: self.priority,
            status: self.status(),
            age: now.saturating_sub(self.submitted),
        }
    }
}

/// A task without its types, as queues and registry hold it.
pub(super) trait Runnable: Send + Sync {
    fn header(&self) -> &Header;

    /// Runs the closure and publishes what came of it. Call only after a successful claim.
    fn run(&self, shared: &Shared);

    /// Drops the closure and publishes `error`. Call only after a successful withdrawal.
    fn discard(&self, error: TaskError);
}

pub(super) type TaskRef = Arc<dyn Runnable>;

/// Ends a task that has not started, dropping its closure here. `false` if it has.
pub(super) fn withdraw(task: &dyn Runnable, error: TaskError) -> bool {
    let header = task.header();
    let (status, end) = match error {
        TaskError::Rejected => (TaskStatus::Rejected, End::Rejected),
        _ => (TaskStatus::Cancelled, End::Cancelled),
    };
    let Some(left) = header.withdraw(status) else { return false };
    if let Some(shared) = header.shared.upgrade() {
        shared.ended(header, end);
        if left == TaskStatus::Delayed {
            shared.timekeeper.note_stale();
        }
        // Before the closure goes: it may hold the pool's last handle, whose drop waits until
        // nothing is pending.
        shared.settle();
    }
    task.discard(error);
    header.let_go();
    true
}

/// Withdraws a task, or tells it to stop if it runs.
pub(super) fn cancel(task: &dyn Runnable) {
    if !withdraw(task, TaskError::Cancelled) && task.header().status() == TaskStatus::Running {
        task.header().token().cancel();
    }
}

/// Drops what a user made; a panic in its destructor ends here.
pub(super) fn drop_quietly<V>(value: V) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        forget_payload(payload);
    }
}

/// A panic's payload may itself panic when dropped; a second such panic is leaked, not chased.
fn forget_payload(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
}

fn panic_message(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the panic's payload is not a string".to_owned())
}

/// The one allocation of a task.
pub(super) struct Record<F, T> {
    header: Header,
    body: Mutex<Body<F, T>>,
    ended: Condvar,
}

enum Body<F, T> {
    Waiting(F),
    /// The closure is out: running or being dropped.
    Away,
    Ended(Result<T, TaskError>),
    Taken,
}

impl<F, T> Record<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    pub(super) fn new(header: Header, closure: F) -> Arc<Self> {
        Arc::new(Self { header, body: Mutex::new(Body::Waiting(closure)), ended: Condvar::new() })
    }

    fn take_closure(&self) -> F {
        match std::mem::replace(&mut *self.body.lock(), Body::Away) {
            Body::Waiting(closure) => closure,
            _ => unreachable!("invariant: one claim or withdrawal a task"),
        }
    }

    /// Stores the outcome, sets the state with it if given, and wakes who waits.
    fn publish(&self, outcome: Result<T, TaskError>, status: Option<TaskStatus>) {
        let mut body = self.body.lock();
        *body = Body::Ended(outcome);
        if let Some(status) = status {
            self.header.state.store(status as u8, Ordering::Release);
        }
        drop(body);
        self.ended.notify_all();
    }
}

impl<F, T> Runnable for Record<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn header(&self) -> &Header {
        &self.header
    }

    fn run(&self, shared: &Shared) {
        let header = &self.header;
        let closure = self.take_closure();
        let started = shared.clock.monotonic();
        shared.counters.started(header.priority, started.saturating_sub(header.due));
        let outcome = catch_unwind(AssertUnwindSafe(closure));
        shared.counters.ran(header.priority, shared.clock.monotonic().saturating_sub(started));
        let (outcome, end, status) = match outcome {
            Ok(value) => (Ok(value), End::Done, TaskStatus::Done),
            Err(payload) => {
                let message = panic_message(&*payload);
                forget_payload(payload);
                tracing::warn!(pool = %shared.name, task = header.name, %message, "task panicked");
                (Err(TaskError::Panicked { message }), End::Panicked, TaskStatus::Panicked)
            }
        };
        header.let_go();
        // Before the outcome is seen: after a join, the registry does not list the task.
        shared.ended(header, end);
        self.publish(outcome, Some(status));
    }

    fn discard(&self, error: TaskError) {
        drop_quietly(self.take_closure());
        self.publish(Err(error), None);
    }
}

/// A task without its closure's type, as its handle holds it.
trait Outcome<T>: Runnable {
    /// Waits until the task ended, and takes its outcome; `None` if `deadline` came first.
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<T, TaskError>>;

    /// Waits until the task ended or `deadline` came.
    fn wait_ended(&self, deadline: Option<Instant>);
}

impl<F, T> Outcome<T> for Record<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<T, TaskError>> {
        self.wait_ended(deadline);
        let mut body = self.body.lock();
        match &*body {
            Body::Waiting(_) | Body::Away => None,
            Body::Taken => Some(Err(TaskError::Taken)),
            Body::Ended(_) => match std::mem::replace(&mut *body, Body::Taken) {
                Body::Ended(outcome) => Some(outcome),
                _ => unreachable!("invariant: matched under the same lock"),
            },
        }
    }

    fn wait_ended(&self, deadline: Option<Instant>) {
        let mut body = self.body.lock();
        while matches!(*body, Body::Waiting(_) | Body::Away) {
            match deadline {
                None => self.ended.wait(&mut body),
                Some(at) => {
                    if self.ended.wait_until(&mut body, at).timed_out() {
                        return;
                    }
                }
            }
        }
    }
}

/// Everything a task is made of but its closure.
pub(super) struct Plan {
    pub(super) id: TaskId,
    pub(super) name: &'static str,
    pub(super) priority: Priority,
    pub(super) kind: Kind,
    pub(super) submitted: Duration,
    pub(super) delay: Duration,
    pub(super) shared: Weak<Shared>,
}

impl Plan {
    pub(super) fn header(self) -> Header {
        let status = if self.delay.is_zero() { TaskStatus::Queued } else { TaskStatus::Delayed };
        Header {
            id: self.id,
            name: self.name,
            priority: self.priority,
            kind: self.kind,
            submitted: self.submitted,
            due: self.submitted.saturating_add(self.delay),
            shared: self.shared,
            state: AtomicU8::new(status as u8),
            token: OnceLock::new(),
            guard: Mutex::new(None),
        }
    }
}

/// Hangs a task below `parent`: cancelling that withdraws the task or, if it runs, sets its token.
/// Call before the task can start.
pub(super) fn attach(task: &TaskRef, parent: &CancelToken) {
    let header = task.header();
    let child = parent.child();
    let weak = Arc::downgrade(task);
    let guard = child.on_cancel(move || {
        if let Some(task) = weak.upgrade() {
            withdraw(&*task, TaskError::Cancelled);
        }
    });
    // Nobody else has set it: the task is not shared with anyone but the callback just made.
    let _ = header.token.set(child);
    *header.guard.lock() = Some(guard);
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
        let task: TaskRef = Arc::clone(&self.outcome) as TaskRef;
        worker::help(&task, |deadline| self.outcome.wait_ended(deadline));
        // A wait without deadline gives the outcome; asked again, it would only wait again.
        let waiting = || loop {
            if let Some(outcome) = self.outcome.wait(None) {
                break outcome;
            }
        };
        if self.status().is_ended() { waiting() } else { worker::blocking(waiting) }
    }

    /// Waits at most `timeout`; `None` if the task has not ended by then. Once it gave the result,
    /// later calls give [`TaskError::Taken`].
    pub fn join_timeout(&self, timeout: Duration) -> Option<Result<T, TaskError>> {
        if let Some(outcome) = self.try_join() {
            return Some(outcome);
        }
        let deadline = Instant::now().checked_add(timeout);
        worker::blocking(|| self.outcome.wait(deadline))
    }

    /// The result if the task has ended; `None` if not. Once it gave the result, later calls give
    /// [`TaskError::Taken`].
    pub fn try_join(&self) -> Option<Result<T, TaskError>> {
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
        f.debug_struct("Task")
            .field("id", &header.id)
            .field("name", &header.name)
            .field("status", &header.status())
            .finish()
    }
}
