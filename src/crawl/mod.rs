//! What to fetch next, and when. Decisions only: no I/O, no threads; times come in. (The cache of
//! rules has a clock, by which it lets go of them; whether they hold is told by the times that come
//! in.)
//!
//! ```text
//!   links ──► admit ──► (engine stores them) ──► publish ──► queue of the host ──► next ──► lease
//!               │ seen? scope? depth? trap?                    ▲      │ robots? gap? cap?      │
//!               ▼                                              │      ▼                        ▼
//!            refusals                                   refill │   refused              (engine fetches)
//!                                                     from the store                          │
//!                                        retry, redirect ◄── complete / robots_answer ◄────────┘
//! ```
//!
//! What holds, whatever the order of calls:
//!
//! 1. The gap from the end of an exchange with a host to the start of the next is never below the
//!    delay in force; `robots.txt`, redirect hops and retries are exchanges like any other.
//! 2. At most `per_host` leases of one host are open.
//! 3. A URL is under at most one lease at a time, and is final at most once.
//! 4. Every published URL ends in a [`Completion::Final`], a redirect or a [`Next::Refused`], if
//!    leases are completed and time goes on.
//! 5. Memory is bounded by the options, the rules of origins in bytes; queues beyond it stay in the store, in the order of
//!    [`queue_key`], and are read back by [`Frontier::refill`].
//! 6. A URL is held against the rules of its origin right before it is leased; rules that memory had
//!    no room for are asked for again first.
//! 7. Nothing is lost with the process: pending = stored and not final; leases live in memory.

use std::time::Duration;

use crate::time::{Clock, Timestamp};

pub mod feed;
mod frontier;
mod record;
pub mod robots;
mod rules;
mod schedule;
mod scope;
mod seen;
pub mod sitemap;
mod store;
pub mod trap;
mod xml;

pub use frontier::{
    Admission, Admitted, Candidate, Completion, Frontier, FrontierOptions, FrontierStats, HostView,
    Lease, LeaseId, LeaseKind, Next, Outcome, OutcomeKind, Refusal, RobotsAnswer, RobotsOutcome,
};
pub use record::{DocumentKind, UrlRecord, Via, queue_host, queue_key, queue_prefix};
pub use robots::{Robots, Verdict};
pub use rules::RulesCache;
pub use scope::{MAX_PATTERN_BYTES, MAX_SCOPE_ENTRIES, ScopeError, ScopeRules};
pub use store::{FrontierStore, MemoryFrontierStore};
pub use xml::DocumentError;

/// Both readings of a clock at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// For intervals.
    pub monotonic: Duration,
    /// For records.
    pub wall: Timestamp,
}

impl Now {
    /// Reads a clock.
    pub fn of(clock: &dyn Clock) -> Self {
        Self { monotonic: clock.monotonic(), wall: clock.wall() }
    }

    /// The wall time at which the monotonic reading will be `at`.
    fn wall_at(self, at: Duration) -> Timestamp {
        self.wall.saturating_add(at.saturating_sub(self.monotonic))
    }
}
