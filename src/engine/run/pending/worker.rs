//! The workers, each a chain of pool tasks, one for each row.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use super::super::progress::StopReason;
use super::super::recent::Written;
use super::super::state::RunState;
use super::queue::{Attempt, Deferral, Next, PendingRow, Scan};
use super::row::RowOutcome;
use crate::engine::Error;
use crate::engine::tables::trailing_url_key;
use crate::model::BudgetKind;
use crate::pool::{Priority, TaskStatus};

/// Rows claimed by one scan.
const SCAN_ROWS: usize = 256;
/// Name of the tasks that distil.
const TASK: &str = "distil";

/// One worker of a run, passed from task to task. Dropping it anywhere removes it from the count
/// and advances the run.
struct Worker {
    run: Arc<RunState>,
    /// It was told to end, and is no longer counted.
    ended: bool,
}

impl Worker {
    /// A worker that has been counted already.
    fn of(run: &Arc<RunState>) -> Self {
        Self { run: Arc::clone(run), ended: false }
    }

    /// Takes one row; the next one is another task.
    fn work(mut self) {
        match self.run.next_attempt() {
            Ok(Some(attempt)) => {
                self.run.distil_row(attempt);
                self.start();
            }
            Ok(None) => self.ended = true,
            Err(error) => self.run.fail(error),
        }
    }

    fn start(self) {
        let parts = Arc::clone(&self.run.parts);
        parts.distil_pool.task(TASK).spawn(move || self.work());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.ended {
            self.run.pending.queue.lock().remove_worker();
        }
        self.run.advance();
    }
}

impl RunState {
    /// Notes that rows may have been put; starts a worker if there is room.
    pub(in crate::engine) fn wake_workers(self: &Arc<Self>) {
        if !self.focuses.is_empty() && self.pending.queue.lock().wake() {
            Worker::of(self).start();
        }
    }

    /// Counts one pending row less. The crawl pauses at the limit; the worker that brings the count
    /// below it resumes the crawl.
    fn end_pending(self: &Arc<Self>) {
        if self.pending.end_pending() == self.parts.config.distil.max_pending as u64 {
            self.advance();
        }
    }

    /// The next row. `None` ends the worker, which is no longer counted then.
    fn next_attempt(self: &Arc<Self>) -> Result<Option<Attempt>, Error> {
        loop {
            let halted = self.token.is_cancelled() || self.tokens_used_up();
            let next = self.pending.queue.lock().next(halted);
            match next {
                Next::Distil(attempt) => return Ok(Some(attempt)),
                Next::End => return Ok(None),
                Next::Scan => {}
            }
            let _scanning = self.pending.scan.lock();
            let scan = self.pending.queue.lock().begin_scan();
            let claimed = match scan {
                Scan::Without(claimed) => claimed,
                Scan::Needless => continue,
                Scan::End => return Ok(None),
            };
            let found = self.scan(&claimed)?;
            let full = found.len() == SCAN_ROWS;
            let more = self.pending.queue.lock().claim(found, full);
            for _ in 0..more {
                Worker::of(self).start();
            }
        }
    }

    fn tokens_used_up(&self) -> bool {
        let used = self.counters.tokens_in.get() + self.counters.tokens_out.get();
        self.job.budget.max_tokens.is_some_and(|most| used >= most)
    }

    /// The first unclaimed rows.
    fn scan(&self, claimed: &HashSet<PendingRow>) -> Result<Vec<PendingRow>, Error> {
        let tables = &self.parts.tables;
        {
            let mut recent = self.pending.recent.lock();
            recent.flushing = std::mem::take(&mut recent.fresh);
        }
        tables.store.flush()?;
        self.pending.recent.lock().flushing = Written::default();
        let mut found = Vec::new();
        for (focus, _) in &self.focuses {
            for key in tables.pending_distil.prefix(focus.0).keys() {
                let Some(page) = trailing_url_key(&key?) else { continue };
                let row = PendingRow { focus: *focus, page };
                if !claimed.contains(&row) {
                    found.push(row);
                }
                if found.len() == SCAN_ROWS {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    fn distil_row(self: &Arc<Self>, attempt: Attempt) {
        let row = attempt.row;
        let distilled = catch_unwind(AssertUnwindSafe(|| self.try_distil(attempt)));
        match distilled.unwrap_or(Err(Error::Panicked { what: "the distilling of a page" })) {
            Ok(RowOutcome::Stored) => {
                self.pending.queue.lock().stored(row);
                self.end_pending();
            }
            Ok(RowOutcome::Outdated) => {
                self.pending.queue.lock().outdated(row);
                self.end_pending();
            }
            Ok(RowOutcome::Failed) => self.row_failed(),
            Ok(RowOutcome::Later(wait, deferral)) => self.defer(row, wait, deferral),
            Ok(RowOutcome::Cancelled) => {}
            Err(error) => self.fail(error),
        }
        if self.tokens_used_up() {
            self.stop(StopReason::Budget(BudgetKind::Tokens));
        }
    }

    fn row_failed(self: &Arc<Self>) {
        self.counters.distil_failed.add(1);
        self.pending.queue.lock().failed();
        self.end_pending();
    }

    /// Lets the row wait without holding a worker.
    fn defer(self: &Arc<Self>, row: PendingRow, wait: Duration, deferral: Deferral) {
        self.pending.queue.lock().defer(row, deferral);
        let run = Arc::downgrade(self);
        let pool = &self.parts.distil_pool;
        let task = pool.task(TASK).priority(Priority::High).cancel_token(&self.token).after(wait);
        let timer = task.spawn(move || {
            if let Some(run) = run.upgrade() {
                run.resume_row(row);
            }
        });
        if timer.status() == TaskStatus::Rejected {
            // The pool has been shut down, or the system has no thread for its timekeeper.
            let taken_back = self.pending.queue.lock().take_back(row);
            if taken_back.is_some() {
                self.row_failed();
            }
        }
    }

    /// Called when the wait of a row is over. This task becomes a worker if there is room for one.
    fn resume_row(self: &Arc<Self>, row: PendingRow) {
        if self.pending.queue.lock().resume(row) {
            Worker::of(self).work();
        }
    }
}
