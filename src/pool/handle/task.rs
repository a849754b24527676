//! The handle to a task.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::pool::error::TaskError;
use crate::pool::scheduler::{blocking, cancel, help, is_pool_thread};
use crate::pool::spin;
use crate::pool::task::{Joinable, Record, TaskId, TaskRef, TaskStatus};

/// The handle to a task. Dropping it detaches the task, which is run all the same.
pub struct Task<T> {
    record: Arc<dyn Joinable<T>>,
}

impl<T: Send + 'static> Task<T> {
    pub(super) fn new<F: FnOnce() -> T + Send + 'static>(record: Arc<Record<F, T>>) -> Self {
        Self { record }
    }

    /// Waits until the task has ended and returns its result.
    ///
    /// On a worker of the task's own pool, a task that is still queued is run by this call (a
    /// delayed one when it is due). If it runs elsewhere, the pool may start another worker in
    /// place of the waiting one. So joins cannot use up the workers that the joined tasks need. No
    /// other task is run meanwhile.
    pub fn join(self) -> Result<T, TaskError> {
        if is_pool_thread() {
            let task: TaskRef = Arc::clone(&self.record) as TaskRef;
            help(&task, |deadline| self.record.wait_ended(deadline));
        }
        // Without a deadline, the first wait returns the outcome.
        let waiting = || loop {
            if let Some(outcome) = self.record.wait(None) {
                break outcome;
            }
        };
        if self.ends_soon() { waiting() } else { blocking(waiting) }
    }

    /// Waits at most `timeout` for the result; `None` if the task has not ended by then. After the
    /// result was returned once, later calls return [`TaskError::Taken`].
    pub fn join_timeout(&self, timeout: Duration) -> Option<Result<T, TaskError>> {
        if let Some(outcome) = self.try_join() {
            return Some(outcome);
        }
        let deadline = Instant::now().checked_add(timeout);
        if self.ends_soon() {
            return self.record.wait(deadline);
        }
        blocking(|| self.record.wait(deadline))
    }

    /// Whether the task has ended, or ends while this thread spins (as long as falling asleep
    /// takes).
    fn ends_soon(&self) -> bool {
        self.status().is_ended()
            || (!is_pool_thread() && spin::briefly(|| self.status().is_ended()))
    }

    /// The result if the task has ended; otherwise `None`. After the result was returned once,
    /// later calls return [`TaskError::Taken`].
    pub fn try_join(&self) -> Option<Result<T, TaskError>> {
        if !self.status().is_ended() {
            return None;
        }
        self.record.wait(Some(Instant::now()))
    }

    /// Cancels the task. If it has not started, it never will, and its closure is dropped before
    /// this returns. If it is running, its token ([`current_token`](crate::pool::current_token)) is
    /// cancelled, and the closure decides when to return.
    pub fn cancel(&self) {
        cancel(&*self.record);
    }

    /// The task's current state.
    pub fn status(&self) -> TaskStatus {
        self.record.header().status()
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.record.header().id
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let header = self.record.header();
        f.debug_struct("Task").field("id", &header.id).field("status", &header.status()).finish()
    }
}
