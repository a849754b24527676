//! What to fetch next, and when. Decisions only: no I/O, no threads, and time is passed in. (Only
//! the cache of rules has a clock, to evict entries. Whether rules are still valid is decided by
//! the time passed in.)
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
//! The engine drives the frontier; the types of its calls are no part of the documented interface.
//!
//! Invariants, whatever the order of calls:
//!
//! 1. The gap between the end of an exchange with a host and the start of the next is never below
//!    the delay in force. Requests for `robots.txt`, redirect hops and retries are exchanges like
//!    any other.
//! 2. At most `per_host` leases of one host are open.
//! 3. A URL is under at most one lease at a time, and is final at most once.
//! 4. Every published URL ends in a `Completion::Final`, a redirect or a `Next::Refused`, as
//!    long as leases are completed and time advances.
//! 5. Memory is bounded by the options. Longer queues stay in the store, in the order of
//!    [`queue_key`], and are read back by `Frontier::refill`.
//! 6. A URL is checked against the rules of its origin right before it is leased. Rules that were
//!    evicted are requested again first.
//! 7. Nothing is lost with the process: a pending URL is one that is stored and not final; leases
//!    are only in memory.

use std::time::Duration;

use crate::time::{Clock, Timestamp};

#[doc(hidden)]
pub mod feed;
mod frontier;
mod record;
mod robots;
mod rules;
mod schedule;
mod scope;
mod seen;
#[doc(hidden)]
pub mod sitemap;
mod store;
#[doc(hidden)]
pub mod trap;
mod xml;

// What the engine says to the frontier and hears from it. Tests and benches see it too; programs
// crawl through the engine.
#[doc(hidden)]
pub use frontier::{
    Admission, Admitted, Candidate, Completion, Frontier, FrontierOptions, FrontierStats, HostView,
    Lease, LeaseId, LeaseKind, Next, Outcome, OutcomeKind, Refusal, RobotsAnswer, RobotsOutcome,
};
pub use record::{DocumentKind, UrlRecord, Via, queue_host, queue_key, queue_prefix};
pub use robots::{Robots, Verdict};
#[doc(hidden)]
pub use rules::RulesCache;
#[doc(hidden)]
pub use scope::ScopeRules;
pub use scope::{MAX_PATTERN_BYTES, MAX_SCOPE_ENTRIES, ScopeError};
pub use store::{FrontierStore, MemoryFrontierStore};
#[doc(hidden)]
pub use xml::DocumentError;

/// Both readings of a clock at one moment.
#[doc(hidden)]
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
