//! Handing tasks to a pool.

use std::time::Duration;

use super::periodic::Periodic;
use super::pool::Pool;
use super::task::Task;
use crate::cancel::CancelToken;
use crate::pool::priority::{Kind, Priority};
use crate::pool::task::{TaskSettings, UNNAMED};

impl Pool {
    /// Queues a blocking task: an idle worker or, below the maximum, a new one takes it at once.
    ///
    /// Never fails. If the pool was shut down, the closure is dropped and the returned task is
    /// [`Rejected`](crate::pool::TaskStatus::Rejected).
    pub fn spawn<T, F>(&self, priority: Priority, closure: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.task(UNNAMED).priority(priority).spawn(closure)
    }

    /// Queues a task that computes; see [`Kind::Cpu`]. Otherwise as [`spawn`](Self::spawn).
    pub fn spawn_cpu<T, F>(&self, priority: Priority, closure: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.task(UNNAMED).priority(priority).kind(Kind::Cpu).spawn(closure)
    }

    /// Queues a blocking task once `delay` has passed; it occupies no worker until then. Otherwise
    /// as [`spawn`](Self::spawn). The task is also rejected if the pool's timekeeper thread cannot
    /// be started.
    pub fn spawn_after<T, F>(&self, delay: Duration, priority: Priority, closure: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.task(UNNAMED).priority(priority).after(delay).spawn(closure)
    }

    /// A builder for a task with a name and further settings.
    pub fn task(&self, name: &'static str) -> TaskBuilder<'_> {
        let (priority, kind) = (Priority::default(), Kind::default());
        let settings = TaskSettings { name, priority, kind, delay: Duration::ZERO };
        TaskBuilder { pool: self, settings, parent: None }
    }
}

/// Settings of one task; see [`Pool::task`].
#[derive(Debug)]
#[must_use = "a task builder does nothing until `spawn` or `every`"]
pub struct TaskBuilder<'a> {
    pool: &'a Pool,
    settings: TaskSettings,
    parent: Option<&'a CancelToken>,
}

impl<'a> TaskBuilder<'a> {
    /// How urgent the task is. Default [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.settings.priority = priority;
        self
    }

    /// Whether the task blocks or computes. Default [`Kind::Blocking`].
    pub fn kind(mut self, kind: Kind) -> Self {
        self.settings.kind = kind;
        self
    }

    /// A token whose cancellation cancels the task. Default: none.
    pub fn cancel_token(mut self, token: &'a CancelToken) -> Self {
        self.parent = Some(token);
        self
    }

    /// Queues the task once `delay` has passed. Default: at once.
    pub fn after(mut self, delay: Duration) -> Self {
        self.settings.delay = delay;
        self
    }

    /// Hands the task to the pool; see [`Pool::spawn`].
    pub fn spawn<T, F>(self, closure: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Task::new(self.pool.scheduler().spawn(self.settings, self.parent, closure))
    }

    /// Runs `closure` once every `period` (at least 1 ms), for the first time after the delay that
    /// was set.
    ///
    /// The task occupies no worker between its runs, and no run begins before the last one has
    /// ended. A late run does not move the later ones; runs that were missed are skipped. The
    /// series ends when a run panics, when it is cancelled by [`Periodic::cancel`] or the token
    /// that was set, and when the pool is shut down.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use gristmill::pool::{Pool, TaskError};
    ///
    /// let pool = Pool::builder().build()?;
    /// let (sender, beats) = mpsc::channel();
    /// let periodic = pool.task("beat").every(Duration::from_millis(5), move || {
    ///     // Fails once the receiver is gone.
    ///     let _ = sender.send(());
    /// });
    /// assert_eq!(beats.iter().take(3).count(), 3);
    /// periodic.cancel();
    /// assert_eq!(periodic.join_timeout(Duration::from_secs(5)), Some(TaskError::Cancelled));
    /// # Ok::<(), gristmill::pool::PoolError>(())
    /// ```
    pub fn every<F>(self, period: Duration, closure: F) -> Periodic
    where
        F: FnMut() + Send + 'static,
    {
        Periodic::start(self.pool.scheduler(), self.settings, self.parent, period, closure)
    }
}
