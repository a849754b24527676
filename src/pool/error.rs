//! The errors of pools, tasks and semaphores.

use std::io;
use std::time::Duration;

/// A pool could not be built or shut down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// The minimum is zero or above the maximum, or there is no CPU permit.
    #[error(
        "cannot build a pool with min {min}, max {max} and {cpu} CPU permits: \
         1 <= min <= max and at least one CPU permit are required"
    )]
    InvalidSize {
        /// The minimum number of workers.
        min: usize,
        /// The maximum number of workers.
        max: usize,
        /// The number of CPU permits.
        cpu: usize,
    },
    /// The name contains a NUL character, which no thread name may.
    #[error("cannot build pool {name:?}: its name contains a NUL character")]
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// Not even one worker thread could be created.
    #[error("cannot build pool {pool:?}: its first thread could not be started")]
    ThreadStart {
        /// The pool's name.
        pool: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// Some threads had not ended at the deadline. The pool stays shut down; `shutdown` may be
    /// called again to wait longer.
    #[error(
        "shutting down pool {pool:?} took longer than {deadline:?}: {threads} threads still at work"
    )]
    ShutdownTimeout {
        /// The pool's name.
        pool: String,
        /// Threads that had not ended.
        threads: usize,
        /// How long `shutdown` waited.
        deadline: Duration,
    },
}

/// A task has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The task was cancelled before it started; its closure was dropped without running.
    #[error("the task was cancelled before it started")]
    Cancelled,
    /// The pool was shut down when the task was submitted, or the task was delayed and the pool's
    /// timekeeper could not be started. The closure was dropped without running.
    #[error("the task was rejected: the pool is shut down or could not start its timekeeper")]
    Rejected,
    /// The closure panicked. The pool and its worker go on.
    #[error("the task panicked: {message}")]
    Panicked {
        /// The panic's message; a fixed text if its payload is not a string.
        message: String,
    },
    /// An earlier `try_join` or `join_timeout` has returned the result.
    #[error("the task's result was already taken by an earlier call")]
    Taken,
}

/// A permit was not acquired.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SemaphoreError {
    /// No permit became free before the timeout.
    #[error("acquiring a permit timed out")]
    TimedOut,
    /// The token was cancelled.
    #[error("acquiring a permit was cancelled")]
    Cancelled,
}
