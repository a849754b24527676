//! What the tasks of a run share.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::commits::Commits;
use super::pending::Pending;
use super::progress::{Counters, LlmTotals, Progress, Report, StopReason};
use crate::cancel::CancelToken;
use crate::crawl::{Frontier, FrontierStats};
use crate::engine::Error;
use crate::engine::parts::Parts;
use crate::engine::tables::{FocusId, JobId, JobRow};
use crate::model::{Focus, Job};

/// What the tasks of a run share.
pub(in crate::engine) struct RunState {
    pub(super) parts: Arc<Parts>,
    pub(super) job: Job,
    pub(super) id: JobId,
    /// Number of this run of the job.
    pub(super) number: u64,
    /// It resumes a run that an earlier process left unfinished.
    pub(super) resumed: bool,
    /// Pages of earlier runs are stored, so requests are made conditional.
    pub(super) revalidating: bool,
    pub(super) token: CancelToken,
    /// Monotonic time of the start.
    pub(super) started: Duration,
    pub(super) row: Mutex<JobRow>,
    pub(super) focuses: Vec<(FocusId, Focus)>,
    pub(super) counters: Counters,
    pub(super) commits: Commits,
    pub(super) frontier: Mutex<Frontier>,
    pub(super) lifecycle: Mutex<Lifecycle>,
    pub(super) ended: Condvar,
    pub(super) pending: Pending,
}

/// What is in flight, and how the run ends.
#[derive(Debug, Default)]
pub(super) struct Lifecycle {
    /// Exchanges in flight.
    pub(super) in_flight: usize,
    /// The earliest scheduled call of `advance`.
    pub(super) timer: Option<Duration>,
    /// Set when the run has to end early.
    pub(super) stop: Option<StopReason>,
    /// Set by the caller that ends the run.
    pub(super) finishing: bool,
    /// The first failure, which ends the run.
    pub(super) failure: Option<Error>,
    pub(super) outcome: Option<Result<Report, Arc<Error>>>,
}

impl fmt::Debug for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunState")
            .field("job", &self.job.name)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl RunState {
    pub(in crate::engine) fn job_name(&self) -> &str {
        &self.job.name
    }

    /// Ends the run cleanly and soon.
    pub(in crate::engine) fn cancel(self: &Arc<Self>) {
        self.stop(StopReason::Cancelled);
    }

    pub(in crate::engine) fn frontier_stats(&self) -> FrontierStats {
        self.frontier.lock().snapshot()
    }

    /// Waits until the run has ended; false if it has not after `timeout`.
    pub(in crate::engine) fn wait_ended(&self, timeout: Duration) -> bool {
        let mut lifecycle = self.lifecycle.lock();
        let running = |lifecycle: &mut Lifecycle| lifecycle.outcome.is_none();
        !self.ended.wait_while_for(&mut lifecycle, running, timeout).timed_out()
            || lifecycle.outcome.is_some()
    }

    pub(in crate::engine) fn progress(&self) -> Progress {
        let (in_flight, done) = {
            let lifecycle = self.lifecycle.lock();
            (lifecycle.in_flight as u64, lifecycle.outcome.is_some())
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
        self.parts.clock.monotonic().saturating_sub(self.started)
    }

    pub(super) fn outcome(&self, outcome: &Result<Report, Arc<Error>>) -> Result<Report, Error> {
        outcome.clone().map_err(|source| Error::Run { job: self.job.name.clone(), source })
    }

    pub(super) fn report(&self, stopped: Option<StopReason>) -> Report {
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
