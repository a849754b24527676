//! A task: its closure, its state and its result.
//!
//! A task is one allocation, a `Record<F, T>` of its closure and result type. The pool's queues see
//! it as a [`Runnable`], whatever it returns; the handle sees it as a [`Joinable`] of its result.
//! Both are the same record.
//!
//! # States
//! ```text
//! Delayed ──▶ Queued ──▶ Running ──▶ Done
//!    │  └────────┼─────────▲  └────▶ Panicked
//!    └───────────┴──▶ Cancelled, Rejected
//! ```
//!
//! # Invariants
//! - Exactly one thread makes each step, under the lock of the record's body.
//! - The closure is run or dropped exactly once: by the thread that made the task leave `Delayed`
//!   or `Queued`, outside that lock.
//! - A task that has ended holds no closure and listens to no token.

mod header;
mod record;
mod runnable;
mod settings;
mod status;

pub(in crate::pool) use header::PoolNumber;
pub(in crate::pool) use record::Record;
pub(in crate::pool) use runnable::{Host, Joinable, Runnable, TaskRef};
pub(in crate::pool) use settings::{TaskSettings, UNNAMED};
pub use status::{TaskId, TaskInfo, TaskStatus};
