//! A synchronous, work-stealing thread pool with priorities, for tasks that block (fetches, calls
//! of models, disk access) and tasks that compute. It needs no other part of the crate and no
//! runtime.
//!
//! ```
//! use std::time::Duration;
//! use gristmill::pool::{
//!     CancelToken, Kind, Pool, Priority, Semaphore, ShutdownMode, TaskError, current_token,
//! };
//!
//! // One worker at first; up to 16 while there are tasks that block.
//! let pool = Pool::builder().name("doc").max(16).build()?;
//!
//! // A handle returns the result. Dropping it detaches the task.
//! let answer = pool.spawn(Priority::Normal, || 6 * 7);
//! assert_eq!(answer.join(), Ok(42));
//!
//! // Urgent tasks go first, however many others wait. Tasks that compute say so, and no more of
//! // them run at a time than there are cores.
//! let urgent = pool.spawn(Priority::Urgent, || "first");
//! let digest = pool.task("digest").kind(Kind::Cpu).priority(Priority::Low).spawn(|| 7_u64.pow(9));
//! assert_eq!((urgent.join(), digest.join()), (Ok("first"), Ok(40_353_607)));
//!
//! // A delayed task occupies no worker, and a panic ends only its own task.
//! let later = pool.spawn_after(Duration::from_millis(5), Priority::Normal, || "later");
//! let broken = pool.spawn(Priority::Normal, || panic!("no luck"));
//! assert_eq!(later.join(), Ok("later"));
//! assert!(matches!(broken.join(), Err(TaskError::Panicked { message }) if message == "no luck"));
//!
//! // A token cancels all tasks below it: queued ones never start, and running ones can ask.
//! let run = CancelToken::new();
//! let waiting = pool.task("waiting").cancel_token(&run).after(Duration::MAX).spawn(|| ());
//! let working = pool.task("working").cancel_token(&run).spawn(|| {
//!     while !current_token().is_some_and(|token| token.is_cancelled()) {
//!         // One more piece of work.
//!     }
//! });
//! assert_eq!(pool.tasks().len(), 2);
//! run.cancel();
//! assert_eq!(waiting.join(), Err(TaskError::Cancelled));
//! // It saw its token, or was cancelled before it started.
//! assert!(matches!(working.join(), Ok(()) | Err(TaskError::Cancelled)));
//!
//! // Permits go to the most urgent waiter first.
//! let connections = Semaphore::new(2);
//! let permit = connections.acquire(Priority::High, Duration::from_secs(1), &run.child());
//! assert!(permit.is_err(), "the token is cancelled");
//!
//! println!("{:?}", pool.stats().level(Priority::Normal).queue_wait.p99);
//! pool.shutdown(ShutdownMode::Drain, Duration::from_secs(5))?;
//! # Ok::<(), gristmill::pool::PoolError>(())
//! ```
//!
//! # What to choose
//! | setting | when |
//! | --- | --- |
//! | [`Kind::Blocking`] (the default) | the task waits for a socket, a disk, a lock or another process; it gets a worker of its own at once, up to [`PoolBuilder::max`] |
//! | [`Kind::Cpu`] | the task computes; [`PoolBuilder::cpu_permits`] of these tasks run at a time |
//! | [`PoolBuilder::level_cap`], [`Semaphore`] | something else limits how many tasks should run; tasks above a level's cap stay queued, while a task that waits for a semaphore occupies its worker |
//! | [`TaskBuilder::after`], [`TaskBuilder::every`] | the task waits for a time; a task that sleeps occupies its worker |
//!
//! # Design
//! Each of these uses only those above it.
//!
//! - `task`: one allocation holds a task's closure, state and result.
//! - `queues`: where queued tasks are, and how a worker finds the next one. They are the registry
//!   of live tasks too.
//! - `scheduler`: wakes and starts workers, runs tasks on them, keeps time, shuts down. The
//!   protocol that loses no wake-up is in this folder's `README.md`, and `models` checks it.
//! - `handle`: what the user holds.
//!
//! Beside them, `admission` counts tasks in and out, so that a pool that is shut down knows when
//! nothing is left to start; `stats` has counters with one writer each, and histograms of a sample;
//! `spin` is the only place that spins.
//!
//! # Invariants
//! - A task that was accepted is run, or its handle reports that it was cancelled; never both.
//! - No task waits for a start while a worker sleeps that could run it.
//! - The closure of a task that is cancelled before its start is dropped at once, on the cancelling
//!   thread.
//! - An idle pool wakes no thread, except each surplus worker once to retire.
//! - No user code (a closure, a destructor, a callback of a token) runs while the pool holds a
//!   lock.
#![cfg_attr(
    all(test, gristmill_model),
    expect(clippy::modulo_one, reason = "models have one stripe")
)]

mod admission;
mod error;
mod handle;
#[cfg(all(test, gristmill_model))]
mod models;
mod panics;
mod pressure;
mod priority;
mod queues;
mod scheduler;
mod semaphore;
mod shutdown;
mod spin;
mod stats;
mod task;
#[cfg(all(test, not(gristmill_model)))]
mod tests;

pub use error::{PoolError, SemaphoreError, TaskError};
pub use handle::{Periodic, Pool, PoolBuilder, Task, TaskBuilder};
pub use pressure::MemoryPressure;
pub use priority::{Kind, Priority};
pub use scheduler::current_token;
pub use semaphore::{Permit, Semaphore};
pub use shutdown::ShutdownMode;
pub use stats::{LevelStats, PoolStats, WorkerStats};
pub use task::{TaskId, TaskInfo, TaskStatus};

pub use crate::cancel::CancelToken;
pub use crate::histogram::Percentiles;
