//! One execution of a job.
//!
//! There is no driver thread. [`RunState::advance`] starts as many exchanges as the limits allow and
//! returns; it is called when a run starts, when an exchange ends, when a politeness wait is over
//! (by the pool's timekeeper) and when the distiller has worked its backlog down. Each exchange is
//! one task of the crawl pool, each row that is distilled one of the distil pool; what has to wait
//! before it is tried again waits with the pool's timekeeper, and holds no thread. The run ends in [`RunState::advance`] too, when nothing is in flight
//! and nothing can be started.
//!
//! ```text
//!  advance ──lease──▶ exchange (crawl pool) ──batch──▶ store ──wake──▶ distil (distil pool)
//!   ▲ ▲                 │                                               │
//!   │ └─────ended───────┘                                               │
//!   └───────────────────────────────backlog down, drained───────────────┘
//! ```
//!
//! Locks, in the order in which they are taken: `lifecycle`, then `frontier` or the distiller's own lock,
//! under which no other is taken. That of what the distiller wrote last is taken with none of them
//! held and may be kept while the store's is taken.

mod commits;
mod exchange;
mod frontier_store;
mod handle;
mod infos;
mod lifecycle;
mod listing;
mod page;
mod pending;
mod progress;
mod recent;
mod start;
mod state;

pub use handle::Run;
pub use progress::{LlmTotals, Progress, Report, StopReason};
pub(super) use start::start;
pub(super) use state::RunState;
