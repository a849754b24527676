//! One execution of a job.
//!
//! There is no driver thread. [`RunState::pump`] starts as many exchanges as the limits allow and
//! returns; it is called when a run starts, when an exchange ends, when a politeness wait is over
//! (by the pool's timekeeper) and when the distiller has worked its backlog down. Each exchange is
//! one task of the crawl pool, each row that is distilled one of the distil pool; what has to wait
//! before it is tried again waits with the pool's timekeeper, and holds no thread. The run ends in [`RunState::pump`] too, when nothing is in flight
//! and nothing can be started.
//!
//! ```text
//!  pump ──lease──▶ exchange (crawl pool) ──batch──▶ store ──wake──▶ distil (distil pool)
//!   ▲ ▲                 │                                               │
//!   │ └─────ended───────┘                                               │
//!   └───────────────────────────────backlog down, drained───────────────┘
//! ```
//!
//! Locks, in the order in which they are taken: `flow`, then `frontier` or the distiller's own lock,
//! under which no other is taken. That of what the distiller wrote last is taken with none of them
//! held and may be kept while the store's is taken.

mod drive;
mod exchange;
mod frontier_store;
mod infos;
mod listing;
mod page;
mod pending;
mod progress;
mod receipts;
mod start;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::tables::{FocusId, JobId, JobRow};
use super::{Error, Shared};
use crate::cancel::CancelToken;
use crate::crawl::{Frontier, FrontierStats};
use crate::model::{Focus, Job};

use pending::Pending;
use progress::Counters;
pub use progress::{LlmTotals, Progress, Report, StopReason};
use receipts::Receipts;
pub(super) use start::start;

/// A run under way, or ended. Dropping it does not end the run.
#[derive(Debug)]
pub struct Run {
    state: Arc<RunState>,
}

/// What the tasks of a run share.
pub(super) struct RunState {
    shared: Arc<Shared>,
    job: Job,
    id: JobId,
    /// Number of this run of the job.
    number: u64,
    /// It goes on where an earlier process stopped.
    resumed: bool,
    /// Pages of earlier runs are stored, so requests are made conditional.
    revalidating: bool,
    token: CancelToken,
    /// Monotonic time of the start.
    started: Duration,
    row: Mutex<JobRow>,
    focuses: Vec<(FocusId, Focus)>,
    counters: Counters,
    receipts: Receipts,
    frontier: Mutex<Frontier>,
    flow: Mutex<Flow>,
    ended: Condvar,
    pending: Pending,
}

/// What is under way, and how the run ends.
#[derive(Debug, Default)]
struct Flow {
    /// Exchanges under way.
    in_flight: usize,
    /// The earliest time for which a call of `pump` is scheduled.
    timer: Option<Duration>,
    /// Set when the run has to end early.
    stop: Option<StopReason>,
    /// Set by the one caller that ends the run.
    finishing: bool,
    /// A failure that ends the run: the first one.
    failure: Option<Error>,
    outcome: Option<Result<Report, Arc<Error>>>,
}

impl fmt::Debug for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunState")
            .field("job", &self.job.name)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Run {
    /// Where the run stands. Costs a few counters and one short lock.
    pub fn progress(&self) -> Progress {
        self.state.progress()
    }

    /// Ends the run cleanly: exchanges under way are cut off, their URLs stay pending, and what was
    /// stored stays. Returns at once; [`Run::wait`] returns when the run has ended.
    pub fn cancel(&self) {
        self.state.cancel();
    }

    /// Waits for the end of the run.
    pub fn wait(self) -> Result<Report, Error> {
        let mut flow = self.state.flow.lock();
        loop {
            if let Some(outcome) = &flow.outcome {
                return self.state.outcome(outcome);
            }
            self.state.ended.wait(&mut flow);
        }
    }

    /// Waits for the end of the run at most `timeout`; `None` if it has not ended by then.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Result<Report, Error>> {
        self.state.wait_ended(timeout).then(|| {
            let flow = self.state.flow.lock();
            flow.outcome.as_ref().map(|outcome| self.state.outcome(outcome))
        })?
    }
}

impl RunState {
    pub(super) fn job_name(&self) -> &str {
        &self.job.name
    }

    /// Ends the run cleanly and soon.
    pub(super) fn cancel(self: &Arc<Self>) {
        self.stop(StopReason::Cancelled);
    }

    pub(super) fn frontier_stats(&self) -> FrontierStats {
        self.frontier.lock().snapshot()
    }

    /// Waits until the run has ended; false if it has not after `timeout`.
    pub(super) fn wait_ended(&self, timeout: Duration) -> bool {
        let mut flow = self.flow.lock();
        let running = |flow: &mut Flow| flow.outcome.is_none();
        !self.ended.wait_while_for(&mut flow, running, timeout).timed_out()
            || flow.outcome.is_some()
    }

    pub(super) fn progress(&self) -> Progress {
        let (in_flight, done) = {
            let flow = self.flow.lock();
            (flow.in_flight as u64, flow.outcome.is_some())
        };
        let queued = self.frontier.lock().pending();
        Progress {
            pages: self.counters.pages.get(),
            queued,
            in_flight,
            failed: self.counters.failed.get(),
            skipped: self.counters.skipped.get(),
            infos: self.counters.infos.get(),
            bytes: self.counters.bytes.get(),
            pending_distil: self.pending.count(),
            elapsed: self.elapsed(),
            done,
        }
    }

    fn elapsed(&self) -> Duration {
        self.shared.clock.monotonic().saturating_sub(self.started)
    }

    fn outcome(&self, outcome: &Result<Report, Arc<Error>>) -> Result<Report, Error> {
        outcome.clone().map_err(|source| Error::Run { job: self.job.name.clone(), source })
    }

    fn report(&self, stopped: Option<StopReason>) -> Report {
        let counters = &self.counters;
        Report {
            pages: counters.pages.get(),
            bytes: counters.bytes.get(),
            links: counters.links.get(),
            infos: counters.infos.get(),
            quarantined: counters.quarantined.get(),
            failed: counters.failed.get(),
            skipped: counters.skipped.get(),
            deduplicated: counters.deduplicated.get(),
            unchanged: counters.unchanged.get(),
            seconds: self.elapsed().as_secs_f64(),
            requests: counters.requests.get(),
            retries: counters.retries.get(),
            distil_failed: counters.distil_failed.get(),
            llm: LlmTotals {
                calls: counters.llm_calls.get(),
                cache_hits: counters.llm_cache_hits.get(),
                tokens_in: counters.tokens_in.get(),
                tokens_out: counters.tokens_out.get(),
                cost: None,
            },
            stopped,
        }
    }
}
