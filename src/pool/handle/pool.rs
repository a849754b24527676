//! The handle to a pool.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::pool::error::PoolError;
use crate::pool::priority::Priority;
use crate::pool::scheduler::{Scheduler, belongs_to};
use crate::pool::shutdown::ShutdownMode;
use crate::pool::stats::PoolStats;
use crate::pool::task::TaskInfo;

/// The highest maximum number of workers. With those in the place of workers that wait in joins,
/// there are no more local queues than can be counted.
pub(super) const MAX_WORKERS: usize = 65_000;
/// How long the destructor of the last handle waits for accepted tasks.
const DROP_DEADLINE: Duration = Duration::from_secs(10);

/// A thread pool. Clones are handles to the same pool.
///
/// Dropping the last handle shuts the pool down as [`ShutdownMode::Drain`] does and waits at most
/// 10 seconds. On one of the pool's own threads it does not wait. A closure that holds a handle
/// keeps the pool open until it has run.
#[derive(Clone)]
pub struct Pool {
    owner: Arc<Owner>,
}

/// Shuts the pool down when the last handle is gone.
struct Owner {
    scheduler: Arc<Scheduler>,
}

impl Pool {
    pub(super) fn new(scheduler: Arc<Scheduler>) -> Self {
        Self { owner: Arc::new(Owner { scheduler }) }
    }

    pub(super) fn scheduler(&self) -> &Arc<Scheduler> {
        &self.owner.scheduler
    }

    /// The tasks that have not ended, oldest first.
    pub fn tasks(&self) -> Vec<TaskInfo> {
        self.scheduler().tasks()
    }

    /// Counters, histograms and the state of the workers.
    pub fn stats(&self) -> PoolStats {
        self.scheduler().stats()
    }

    /// The pool's name.
    pub fn name(&self) -> &str {
        &self.scheduler().name
    }

    /// Changes the maximum number of workers, and lowers the minimum to it if need be. 0 counts as
    /// 1, and more than 65,000 as that. When it is raised, waiting tasks get new workers at once;
    /// when it is lowered, surplus workers end after their task.
    pub fn set_max(&self, workers: usize) {
        self.scheduler().set_max(workers.clamp(1, MAX_WORKERS));
    }

    /// Changes how many tasks of a level run at a time; see
    /// [`PoolBuilder::level_cap`](crate::pool::PoolBuilder::level_cap). Tasks that are running go
    /// on, and those that began while the level had no cap do not count.
    pub fn set_level_cap(&self, priority: Priority, tasks: usize) {
        self.scheduler().set_cap(priority, tasks);
    }

    /// Whether the pool was shut down and accepts no more tasks.
    pub fn is_shut_down(&self) -> bool {
        self.scheduler().is_sealed()
    }

    /// Accepts no more tasks, runs or cancels the accepted ones as `mode` says, and joins every
    /// thread.
    ///
    /// Gives up after `deadline` with [`PoolError::ShutdownTimeout`]; the pool stays shut down. May
    /// be called from any thread, repeatedly and concurrently, and a later call may turn `Drain`
    /// into `Cancel`. On one of the pool's own threads it waits for the other threads only, and
    /// tasks that only this thread can run are run after the current one.
    pub fn shutdown(&self, mode: ShutdownMode, deadline: Duration) -> Result<(), PoolError> {
        self.scheduler().shutdown(mode, deadline)
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if belongs_to(&self.scheduler) {
            self.scheduler.seal(ShutdownMode::Drain);
        } else if let Err(error) = self.scheduler.shutdown(ShutdownMode::Drain, DROP_DEADLINE) {
            tracing::warn!(%error, "a pool was dropped while tasks were running");
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheduler = self.scheduler();
        f.debug_struct("Pool")
            .field("name", &scheduler.name)
            .field("workers", &scheduler.stats().workers)
            .field("pending", &scheduler.pending())
            .field("shut_down", &scheduler.is_sealed())
            .finish()
    }
}
