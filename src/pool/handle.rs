//! The handle to a pool.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::builder::{MOST_WORKERS, PoolBuilder};
use super::error::{PoolError, TaskError};
use super::periodic::Periodic;
use super::priority::{Kind, Priority};
use super::record::Record;
use super::shared::Shared;
use super::stats::PoolStats;
use super::task::{Task, TaskInfo, TaskRef, UNNAMED, attach, withdraw};
use super::worker;
use crate::cancel::CancelToken;

/// How long dropping the last handle waits for accepted tasks.
const DROP_DEADLINE: Duration = Duration::from_secs(10);

/// A thread pool. Clones are handles to the same pool.
///
/// Dropping the last handle shuts the pool down as [`ShutdownMode::Drain`] does and waits at most
/// 10 seconds; on one of the pool's own threads it does not wait. A closure that holds a handle
/// keeps the pool open until it has run.
#[derive(Clone)]
pub struct Pool {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
}

/// What [`Pool::shutdown`] does with tasks that have not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownMode {
    /// Queued tasks are run. Delayed tasks that are not due are cancelled: a shutdown does not wait
    /// for a time that may be hours away.
    Drain,
    /// Queued and delayed tasks are cancelled; running ones find their token cancelled.
    Cancel,
}

impl Pool {
    /// Settings for a new pool.
    pub fn builder() -> PoolBuilder {
        PoolBuilder::new()
    }

    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { owner: Arc::new(Owner { shared }) }
    }

    /// Queues a blocking task: an idle worker or, below the maximum, a new one takes it at once.
    ///
    /// Never fails: on a pool that was shut down, the task given back is
    /// [`Rejected`](super::TaskStatus::Rejected) and the closure dropped.
    pub fn spawn<T, F>(&self, priority: Priority, closure: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.task(UNNAMED).priority(priority).spawn(closure)
    }

    /// Queues a task that computes; see [`Kind::Cpu`].
    pub fn spawn_cpu<T, F>(&self, priority: Priority, closure: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.task(UNNAMED).priority(priority).kind(Kind::Cpu).spawn(closure)
    }

    /// Queues a blocking task once `delay` has passed; no worker is taken before.
    pub fn spawn_after<T, F>(&self, delay: Duration, priority: Priority, closure: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.task(UNNAMED).priority(priority).after(delay).spawn(closure)
    }

    /// A task with a name and further settings.
    pub fn task(&self, name: &'static str) -> TaskBuilder<'_> {
        let (priority, kind) = (Priority::default(), Kind::default());
        let settings = TaskSettings { name, priority, kind, delay: Duration::ZERO };
        TaskBuilder { pool: self, settings, parent: None }
    }

    /// The tasks that have not ended, oldest first.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        self.owner.shared.tasks()
    }

    /// Counters, histograms and the state of the workers.
    pub fn stats(&self) -> PoolStats {
        self.owner.shared.stats()
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.owner.shared.name
    }

    /// Changes the greatest number of workers (0 counts as 1), and lowers the least number to it if
    /// need be. More are started when tasks wait; surplus ones go when they end their task.
    pub fn set_max(&self, workers: usize) {
        self.owner.shared.set_max(workers.clamp(1, MOST_WORKERS));
    }

    /// Changes how many tasks of a level run at a time; see [`PoolBuilder::level_cap`]. Tasks that
    /// run already stay, and those that began while the level had no cap do not count.
    pub fn set_level_cap(&self, priority: Priority, tasks: usize) {
        self.owner.shared.set_cap(priority, tasks);
    }

    /// Whether the pool was shut down and takes no more tasks.
    pub fn is_shut_down(&self) -> bool {
        self.owner.shared.is_sealed()
    }

    /// Takes no more tasks, sees the accepted ones off as `mode` says and joins every thread; gives
    /// up waiting after `deadline`.
    ///
    /// From any thread, any number of times, also at once; a later call may turn `Drain` into
    /// `Cancel`. On one of the pool's own threads it waits for the others only, and tasks that only
    /// this thread can run are run after the present one.
    pub fn shutdown(&self, mode: ShutdownMode, deadline: Duration) -> Result<(), PoolError> {
        self.owner.shared.shutdown(mode, deadline)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if worker::is_of(&self.shared) {
            self.shared.seal(ShutdownMode::Drain);
        } else if let Err(error) = self.shared.shutdown(ShutdownMode::Drain, DROP_DEADLINE) {
            tracing::warn!(%error, "dropped a pool at work");
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.owner.shared;
        f.debug_struct("Pool")
            .field("name", &shared.name)
            .field("workers", &shared.stats().workers)
            .field("pending", &shared.pending())
            .field("shut_down", &shared.is_sealed())
            .finish()
    }
}

/// What a task is to be, its closure and its token apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct TaskSettings {
    pub(super) name: &'static str,
    pub(super) priority: Priority,
    pub(super) kind: Kind,
    pub(super) delay: Duration,
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
    /// How urgent it is. Default [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.settings.priority = priority;
        self
    }

    /// What it does to its thread. Default [`Kind::Blocking`].
    pub fn kind(mut self, kind: Kind) -> Self {
        self.settings.kind = kind;
        self
    }

    /// Cancelling `token` cancels the task. Default: none.
    pub fn cancel_token(mut self, token: &'a CancelToken) -> Self {
        self.parent = Some(token);
        self
    }

    /// Queue it once `delay` has passed. Default: at once.
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
        self.pool.owner.shared.spawn(self.settings, self.parent, closure)
    }

    /// Runs `closure` once every `period` (at least 1 ms), beginning after the delay that was set.
    ///
    /// No worker is taken in between, and no run begins before the last one has ended. A run that
    /// is late does not move the later ones, and those that were missed meanwhile are left out. A
    /// panic ends the series, and so do [`Periodic::cancel`], the token that was set and the pool's
    /// shutdown.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use std::time::Duration;
    /// use gristmill::pool::{Pool, TaskError};
    ///
    /// let pool = Pool::builder().build()?;
    /// let (sender, beats) = mpsc::channel();
    /// let periodic = pool.task("beat").every(Duration::from_millis(5), move || {
    ///     // Nobody listens any more: let the series be cancelled.
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
        Periodic::start(&self.pool.owner.shared, self.settings, self.parent, period, closure)
    }
}

impl Shared {
    /// Hands a task to the pool.
    pub(super) fn spawn<T, F>(
        &self,
        settings: TaskSettings,
        parent: Option<&CancelToken>,
        closure: F,
    ) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let ticket = self.admit();
        let record = Record::new(settings, ticket, self.number, closure);
        self.submit(Arc::clone(&record) as TaskRef, settings, ticket.is_accepted(), parent);
        Task::new(record)
    }

    /// What does not depend on the closure's type, and is compiled once.
    fn submit(
        &self,
        task: TaskRef,
        settings: TaskSettings,
        accepted: bool,
        parent: Option<&CancelToken>,
    ) {
        if !accepted {
            withdraw(&*task, TaskError::Rejected);
            return;
        }
        if let Some(parent) = parent {
            attach(&task, parent);
        }
        if settings.delay.is_zero() {
            self.enqueue(task, settings.priority, settings.kind);
        } else if self.timekeeper.insert(self, Arc::clone(&task)) {
            self.queues.count_submitted(settings.priority.level());
        } else {
            withdraw(&*task, TaskError::Rejected);
        }
    }
}
