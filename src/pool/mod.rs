//! A synchronous, work-stealing, priority thread pool for tasks that block (fetches, LLM calls) and
//! tasks that compute.
//!
//! ```
//! use std::time::Duration;
//! use gristmill::pool::{Pool, Priority, ShutdownMode};
//!
//! let pool = Pool::builder().name("doc").max(4).build()?;
//! let answer = pool.spawn(Priority::Normal, || 6 * 7);
//! assert_eq!(answer.join(), Ok(42));
//! pool.shutdown(ShutdownMode::Drain, Duration::from_secs(5))?;
//! # Ok::<(), gristmill::pool::PoolError>(())
//! ```
//!
//! # Design
//! - `queues`: two injectors a level (blocking, CPU) and one FIFO deque a level in each worker;
//!   `choose` decides which level goes next.
//! - `crew`: who sleeps, who searches, how many threads there are. The protocol that loses no
//!   wake-up is written down in this folder's `README.md`.
//! - `worker`: find a task, run it, else sleep; sleepers above the minimum retire.
//! - `task`: one allocation holds a task's closure, state and result. Queued → Running → Done or
//!   Panicked; queued → Cancelled; each step by compare-and-set.
//! - `timekeeper`: one thread, started on first use, hands delayed tasks over when they are due.
//! - `seal`: after it nothing is accepted; workers end when nothing accepted is left unstarted.
//!
//! # Invariants
//! - A task that was accepted is run, or its handle says that it was cancelled; never both.
//! - No task waits for a start while a worker sleeps that may run it.
//! - A closure that was not run is dropped when its task is cancelled, on the cancelling thread.
//! - An idle pool wakes no thread, except once each to retire surplus workers.
//! - No user code (closure, destructor, token callback) runs while the pool holds a lock.

mod builder;
mod choose;
mod crew;
mod error;
mod gate;
mod handle;
mod priority;
mod queues;
mod seal;
mod semaphore;
mod shared;
mod stats;
mod task;
#[cfg(test)]
mod tests;
mod timekeeper;
mod worker;

pub use builder::PoolBuilder;
pub use error::{PoolError, SemaphoreError, TaskError};
pub use handle::{Pool, ShutdownMode, TaskBuilder};
pub use priority::{Kind, Priority};
pub use semaphore::{Permit, Semaphore};
pub use stats::{LevelStats, Percentiles, PoolStats, WorkerStats};
pub use task::{Task, TaskId, TaskInfo, TaskStatus};
pub use worker::current_token;

pub use crate::cancel::CancelToken;
