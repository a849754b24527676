//! One execution of a job.
//!
//! There is no driver thread. [`RunState::advance`] starts as many exchanges as the limits allow and
//! returns. It is called when a run starts, when an exchange ends, when a politeness wait is over (by
//! the pool's timekeeper) and when the distiller has worked down its backlog. It also ends the run,
//! once nothing is in flight and nothing can be started.
//!
//! Each exchange is one task of the crawl pool, and each row to distil one task of the distil pool. A
//! retry waits with the pool's timekeeper and holds no thread.
//!
//! ```text
//!  advance ──lease──▶ exchange (crawl pool) ──batch──▶ store ──wake──▶ distil (distil pool)
//!   ▲ ▲                   │                                               │
//!   │ └───────ended───────┘                                               │
//!   └─────────────────────────────────backlog down, drained───────────────┘
//! ```
//!
//! Order of the locks: `lifecycle`, then `frontier` or the queue of pending rows, under which no
//! other lock is taken. The lock on [`recent::Recent`] is taken with none of them held; the store's
//! may be taken under it.

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
mod reextract;
mod start;
mod state;

pub use handle::Run;
pub use progress::{LlmTotals, Progress, Report, StopReason};
pub(super) use start::start;
pub(super) use state::RunState;
