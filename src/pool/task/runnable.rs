//! The two faces of a task: what queues hold and what a handle holds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::header::Header;
use super::status::{TaskInfo, TaskStatus};
use crate::cancel::{CancelGuard, CancelToken};
use crate::pool::error::TaskError;
use crate::pool::stats::{Counters, Tally};
use crate::time::Clock;

/// A task without its types, as queues hold it.
pub(in crate::pool) trait Runnable: Send + Sync {
    fn header(&self) -> &Header;

    /// The task as it is listed.
    fn info(&self, now: Duration) -> TaskInfo;

    /// Monotonic time from which on the task may start.
    fn due(&self) -> Duration;

    /// `from` → Running → Done or Panicked: runs the closure and publishes its outcome. `false` if
    /// the task is not in the state `from`; then nothing happened. `detached`: there is no handle
    /// to the task, and never will be, so the outcome is dropped.
    fn run(&self, from: TaskStatus, host: &dyn Host, tally: &Tally, detached: bool) -> bool;

    /// Delayed → Queued; `false` if the task is not delayed.
    fn promote(&self) -> bool;

    /// Delayed or Queued → ended by `error`; drops the closure. `false` if the task had started or
    /// ended. `leaving` is called with the state that the task left, before the closure is dropped.
    fn withdraw(&self, error: TaskError, leaving: &mut dyn FnMut(TaskStatus)) -> bool;

    /// The task's token, created when it is first asked for.
    fn token(&self) -> CancelToken;

    /// Gives the task a token and the guard of its callback. Called once, before the task can
    /// start.
    fn link(&self, token: CancelToken, guard: CancelGuard);
}

pub(in crate::pool) type TaskRef = Arc<dyn Runnable>;

/// A task without its closure's type, as its handle holds it.
pub(in crate::pool) trait Joinable<T>: Runnable {
    /// Waits until the task has ended and takes its outcome; `None` if `deadline` came first.
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<T, TaskError>>;

    /// Waits until the task has ended or `deadline` has come.
    fn wait_ended(&self, deadline: Option<Instant>);
}

/// The pool, as a task that runs needs it.
pub(in crate::pool) trait Host {
    fn name(&self) -> &str;

    fn clock(&self) -> &dyn Clock;

    fn counters(&self) -> &Counters;

    /// Called when the task has been counted as started, before its closure runs.
    fn started(&self);
}
