//! The handle to a pool.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::builder::PoolBuilder;
use super::error::{PoolError, TaskError};
use super::priority::{Kind, Priority};
use super::shared::Shared;
use super::stats::PoolStats;
use super::task::{Plan, Record, Task, TaskInfo, TaskRef, attach, withdraw};
use super::worker;
use crate::cancel::CancelToken;

/// How long dropping the last handle waits for accepted tasks.
const DROP_DEADLINE: Duration = Duration::from_secs(10);
/// Name of tasks that were given none.
const UNNAMED: &str = "task";

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
        TaskBuilder {
            pool: self,
            name,
            priority: Priority::default(),
            kind: Kind::default(),
            parent: None,
            delay: Duration::ZERO,
        }
    }

    /// The tasks that have not ended, oldest first.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        self.owner.shared.tasks()
    }

    /// Counters, histograms and the state of the workers.
    pub fn stats(&self) -> PoolStats {
        let shared = &self.owner.shared;
        shared.counters.snapshot(&shared.name, shared.crew.stats(), shared.pending())
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.owner.shared.name
    }

    /// Changes the greatest number of workers (0 counts as 1), and lowers the least number to it if
    /// need be. More are started when tasks wait; surplus ones go when they end their task.
    pub fn set_max(&self, workers: usize) {
        self.owner.shared.set_max(workers.max(1));
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
            .field("workers", &shared.crew.stats())
            .field("pending", &shared.pending())
            .field("shut_down", &shared.is_sealed())
            .finish()
    }
}

/// Settings of one task; see [`Pool::task`].
#[derive(Debug)]
#[must_use = "a task builder does nothing until `spawn`"]
pub struct TaskBuilder<'a> {
    pool: &'a Pool,
    name: &'static str,
    priority: Priority,
    kind: Kind,
    parent: Option<&'a CancelToken>,
    delay: Duration,
}

impl<'a> TaskBuilder<'a> {
    /// How urgent it is. Default [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// What it does to its thread. Default [`Kind::Blocking`].
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// Cancelling `token` cancels the task. Default: none.
    pub fn cancel_token(mut self, token: &'a CancelToken) -> Self {
        self.parent = Some(token);
        self
    }

    /// Queue it once `delay` has passed. Default: at once.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Hands the task to the pool; see [`Pool::spawn`].
    pub fn spawn<T, F>(self, closure: F) -> Task<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let shared = &self.pool.owner.shared;
        let plan = Plan {
            id: shared.next_task(),
            name: self.name,
            priority: self.priority,
            kind: self.kind,
            submitted: shared.clock.monotonic(),
            delay: self.delay,
            shared: Arc::downgrade(shared),
        };
        let record = Record::new(plan.header(), closure);
        let task: TaskRef = Arc::clone(&record) as TaskRef;
        if !shared.admit(&task) {
            withdraw(&*task, TaskError::Rejected);
            return Task::new(record);
        }
        if let Some(parent) = self.parent {
            attach(&task, parent);
            if task.header().status().is_ended() {
                return Task::new(record);
            }
        }
        if self.delay.is_zero() {
            shared.enqueue(task);
        } else if !shared.timekeeper.insert(shared, Arc::clone(&task)) {
            withdraw(&*task, TaskError::Rejected);
        }
        Task::new(record)
    }
}
