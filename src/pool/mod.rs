//! A synchronous, work-stealing, priority thread pool for tasks that block (fetches, calls of models,
//! disk) and tasks that compute. It needs no other part of the crate and no runtime.
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
//! // A handle gives the result. Dropping it lets the task run on its own.
//! let answer = pool.spawn(Priority::Normal, || 6 * 7);
//! assert_eq!(answer.join(), Ok(42));
//!
//! // The more urgent goes first, however many wait. What computes says so, and no more of it runs
//! // at a time than there are cores.
//! let urgent = pool.spawn(Priority::Urgent, || "first");
//! let digest = pool.task("digest").kind(Kind::Cpu).priority(Priority::Low).spawn(|| 7_u64.pow(9));
//! assert_eq!((urgent.join(), digest.join()), (Ok("first"), Ok(40_353_607)));
//!
//! // A delay takes no worker, and a panic ends its task alone.
//! let later = pool.spawn_after(Duration::from_millis(5), Priority::Normal, || "later");
//! let broken = pool.spawn(Priority::Normal, || panic!("no luck"));
//! assert_eq!(later.join(), Ok("later"));
//! assert!(matches!(broken.join(), Err(TaskError::Panicked { message }) if message == "no luck"));
//!
//! // A token cancels all tasks below it: those that wait never start, those that run are told.
//! let run = CancelToken::new();
//! let waiting = pool.task("waiting").cancel_token(&run).after(Duration::MAX).spawn(|| ());
//! let working = pool.task("working").cancel_token(&run).spawn(|| {
//!     while !current_token().is_some_and(|token| token.is_cancelled()) {
//!         // One more piece of the work.
//!     }
//! });
//! assert_eq!(pool.tasks().len(), 2);
//! run.cancel();
//! assert_eq!(waiting.join(), Err(TaskError::Cancelled));
//! // Told to stop, or never started, if that came first.
//! assert!(matches!(working.join(), Ok(()) | Err(TaskError::Cancelled)));
//!
//! // Permits, the most urgent waiter first.
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
//! | [`Kind::Blocking`] (the default) | the task waits for a socket, a disk, a lock, another process: it gets a worker of its own at once, up to [`PoolBuilder::max`] |
//! | [`Kind::Cpu`] | the task computes; [`PoolBuilder::cpu_permits`] of them run at a time |
//! | [`PoolBuilder::level_cap`], [`Semaphore`] | something else bounds how many tasks should run: tasks beyond a level's cap stay queued, those that ask a semaphore hold their worker meanwhile |
//! | [`TaskBuilder::after`], [`TaskBuilder::every`] | it is a time that is waited for: never sleep on a worker |
//!
//! # Design
//! - `queues`: where queued tasks are and how a worker finds the next one: `injector`s that any
//!   thread fills, a `hand` for each worker, `gate`s for what may run; `choose` decides which level
//!   goes next. They are the registry of live tasks too.
//! - `crew`: who sleeps, who searches, how many threads there are. The protocol that loses no
//!   wake-up is written down in this folder's `README.md`, and `models` checks it.
//! - `worker`: find a task, run it, else `spin` for a moment, else sleep; sleepers above the minimum
//!   retire.
//! - `task`, `record`: one allocation holds a task's closure, state and result. Queued → Running → Done or
//!   Panicked; queued → Cancelled; each step by one thread alone, under the lock of the task.
//! - `timekeeper`: one thread, started on first use, hands delayed tasks over when they are due;
//!   `periodic` tasks delay themselves again; `stall` lends permits to tasks that wait for others.
//! - `admission`: counts tasks in and out; after the seal nothing is accepted, and workers end when
//!   nothing accepted is left unstarted.
//! - `stats`: counters with one writer each, and histograms of a sample.
//!
//! # Invariants
//! - A task that was accepted is run, or its handle says that it was cancelled; never both.
//! - No task waits for a start while a worker sleeps that may run it.
//! - A closure that was not run is dropped when its task is cancelled, on the cancelling thread.
//! - An idle pool wakes no thread, except once each to retire surplus workers.
//! - No user code (closure, destructor, token callback) runs while the pool holds a lock.
#![cfg_attr(
    all(test, gristmill_model),
    expect(clippy::modulo_one, reason = "models have one stripe")
)]

mod admission;
mod builder;
mod choose;
mod crew;
mod error;
mod gate;
mod hand;
mod handle;
mod injector;
#[cfg(all(test, gristmill_model))]
mod models;
mod periodic;
mod pressure;
mod priority;
mod queues;
mod record;
mod semaphore;
mod shared;
mod spin;
mod stall;
mod stats;
mod sync;
mod task;
#[cfg(all(test, not(gristmill_model)))]
mod tests;
mod timekeeper;
mod worker;

pub use builder::PoolBuilder;
pub use error::{PoolError, SemaphoreError, TaskError};
pub use handle::{Pool, ShutdownMode, TaskBuilder};
pub use periodic::Periodic;
pub use pressure::MemoryPressure;
pub use priority::{Kind, Priority};
pub use semaphore::{Permit, Semaphore};
pub use stats::{LevelStats, Percentiles, PoolStats, WorkerStats};
pub use task::{Task, TaskId, TaskInfo, TaskStatus};
pub use worker::current_token;

pub use crate::cancel::CancelToken;
