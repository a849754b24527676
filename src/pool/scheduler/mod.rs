//! The scheduler: what the handles, the workers and the timekeeper of one pool share.
//!
//! | file | what it has |
//! | --- | --- |
//! | `state` | the [`Scheduler`] itself: its parts, and what the handles ask of it |
//! | `submit` | how a task enters the pool, and how it is cancelled |
//! | `notify` | wakes or starts a worker when a task becomes eligible; starts threads |
//! | `workers` | which workers sleep and which search; which threads there are |
//! | `worker` | the loop of one worker |
//! | `current` | the pool and the worker that this thread belongs to |
//! | `join` | what a worker does while it waits for a task |
//! | `timekeeper` | hands delayed tasks over when they are due |
//! | `stall` | decides when to lend a permit because CPU tasks make no progress |
//! | `spawner` | creates threads |
//!
//! The protocol that loses no wake-up, and why it does not, are in the README of `pool`.
//!
//! # Invariants
//! - Whatever makes a task eligible calls `notify` afterwards.
//! - No user code (a closure, a destructor, a callback of a token, `MemoryPressure`) runs while the
//!   scheduler holds a lock.
//! - A worker ends only when the pool is finished or when it is one too many.

mod current;
mod join;
mod notify;
mod spawner;
mod stall;
mod state;
mod submit;
mod timekeeper;
mod worker;
mod workers;

pub use current::current_token;
pub(super) use current::{belongs_to, is_pool_thread};
pub(super) use join::{blocking, help};
pub(super) use spawner::SystemSpawner;
#[cfg(all(test, not(gristmill_model)))]
pub(super) use spawner::{Spawner, ThreadHandle};
pub(super) use state::{PoolSettings, Scheduler};
pub(super) use submit::cancel;
