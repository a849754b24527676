//! What can go wrong with a pool, a task or a semaphore.

use std::io;
use std::time::Duration;

/// Why a pool could not be built or shut down.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError {
    /// `min` is zero or above `max`, or no CPU permits were asked for.
    #[error("a pool needs 1 <= min <= max and a CPU permit: min {min}, max {max}, cpu {cpu}")]
    InvalidSize {
        /// The least number of workers that was asked for.
        min: usize,
        /// The greatest number of workers that was asked for.
        max: usize,
        /// The number of CPU permits that was asked for.
        cpu: usize,
    },
    /// The name holds a NUL character, which no thread name can.
    #[error("the pool name {name:?} holds a NUL character")]
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// Not even one worker thread could be created.
    #[error("the first worker of pool {pool:?} could not be started")]
    ThreadStart {
        /// The pool's name.
        pool: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// Threads were still at work when the deadline passed. The pool stays sealed; calling
    /// `shutdown` again goes on waiting.
    #[error("pool {pool:?} still has {threads} threads at work after {deadline:?}")]
    ShutdownTimeout {
        /// The pool's name.
        pool: String,
        /// Threads that had not ended.
        threads: usize,
        /// How long was waited.
        deadline: Duration,
    },
}

/// Why a task has no result to give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// It was cancelled before it started; its closure was dropped without running.
    #[error("the task was cancelled before it started")]
    Cancelled,
    /// The pool was shut down (or could not start its timekeeper) when the task was handed in; its
    /// closure was dropped without running.
    #[error("the pool does not take tasks any more")]
    Rejected,
    /// Its closure panicked. The pool and its worker go on.
    #[error("the task panicked: {message}")]
    Panicked {
        /// The panic's message; a fixed text if its payload is not a string.
        message: String,
    },
    /// An earlier `try_join` or `join_timeout` took the result away.
    #[error("the task's result was taken before")]
    Taken,
}

/// Why a permit was not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SemaphoreError {
    /// No permit became free within the time given.
    #[error("no permit became free in time")]
    TimedOut,
    /// The token given was cancelled.
    #[error("waiting for a permit was cancelled")]
    Cancelled,
}
