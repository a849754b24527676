//! Distilling what is stored: workers that take rows of `pending_distil` in order.
//!
//! A row is put in the batch of its page and deleted in the batch of its infos, so a crash repeats
//! work and loses none. Workers exist only while there is work: [`RunState::distil_wake`] starts
//! them, and each ends when it finds nothing. A worker is a chain of tasks of the distil pool, one
//! for each row, so that runs take turns.
//!
//! A row whose distiller asks for a wait ([`DistilError::Later`](crate::engine::distil::DistilError))
//! gives its worker up. It stays claimed, waits with the pool's timekeeper, and is taken before all
//! others when it comes back:
//!
//! ```text
//!  store ──scan──▶ queue ──▶ worker ──▶ done, failed
//!                    ▲          │
//!                    └─ waiting ◀┘ Later
//! ```
//!
//! While rows wait the run does not end by itself. One that is stopped, or distils no further
//! because the distiller failed too often, leaves them to the next run, as it does the queue.
//!
//! A batch becomes visible when its group is flushed. A scan therefore flushes before it reads,
//! and leaves out the rows that were claimed when it began: a row whose deletion is not visible yet
//! is among them.

mod row;
mod work;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::infos::{Recent, Written};
use super::{RunState, StopReason};
use crate::engine::Error;
use crate::engine::tables::trailing_url_key;
use crate::model::BudgetKind;
use crate::pool::{Priority, TaskStatus};

pub(super) use row::Ended;
pub(super) use work::Item;
use work::{Next, PutOff, Scan, Turn, Work};

/// Rows claimed by one scan.
const SCAN_ROWS: usize = 256;
/// Name of the tasks that distil.
const TASK: &str = "distil";

/// What the workers of a run share.
#[derive(Debug)]
pub(super) struct Pending {
    /// Rows known to be pending, those claimed included.
    pending: AtomicU64,
    work: Mutex<Work>,
    /// Held by the one worker that scans.
    scan: Mutex<()>,
    /// What is stored but may not be visible yet.
    pub(super) recent: Mutex<Recent>,
}

impl Pending {
    /// For a run with at most `limit` workers.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            pending: AtomicU64::new(0),
            work: Mutex::new(Work::new(limit)),
            scan: Mutex::new(()),
            recent: Mutex::default(),
        }
    }

    /// Rows that this run has to distil, those being worked on or waiting for a retry included.
    pub(super) fn count(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    pub(super) fn set_pending(&self, rows: u64) {
        self.pending.store(rows, Ordering::Relaxed);
    }

    pub(super) fn add_pending(&self, rows: u64) {
        self.pending.fetch_add(rows, Ordering::Relaxed);
    }

    /// One row less is pending; gives how many there were before. Never falls below zero: a row
    /// that is put again while it waits is counted once more than it is worked on, or less.
    fn end_pending(&self) -> u64 {
        let less = |rows: u64| Some(rows.saturating_sub(1));
        self.pending
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .unwrap_or_else(|rows| rows)
    }

    /// Failed so often in a row that this run distils no further.
    pub(super) fn has_given_up(&self) -> bool {
        self.work.lock().has_given_up()
    }

    /// Ends the distilling if nothing stands in the way; see [`Work::end`].
    pub(super) fn end(&self, wanted: bool) -> bool {
        self.work.lock().end(wanted)
    }

    /// Drops what the rows that still wait would have gone on from.
    pub(super) fn forget_waiting(&self) {
        let forgotten = self.work.lock().forget_waiting();
        drop(forgotten);
    }
}

/// One of the workers of a run, on its way from task to task. Wherever it is dropped, it is not
/// counted any more, and the run learns that it is gone.
struct Worker {
    run: Arc<RunState>,
    /// Told to end, and not counted any more.
    ended: bool,
}

impl Worker {
    /// A worker that is counted already.
    fn of(run: &Arc<RunState>) -> Self {
        Self { run: Arc::clone(run), ended: false }
    }

    /// Takes one row; the next one is another task.
    fn work(mut self) {
        match self.run.next_turn() {
            Ok(Some(turn)) => {
                self.run.distil_item(turn);
                self.start();
            }
            Ok(None) => self.ended = true,
            Err(error) => self.run.fail(error),
        }
    }

    fn start(self) {
        let shared = Arc::clone(&self.run.shared);
        shared.distil_pool.task(TASK).spawn(move || self.work());
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !self.ended {
            self.run.pending.work.lock().lose_worker();
        }
        self.run.pump();
    }
}

impl RunState {
    /// Tells the distiller that rows may have been put; starts a worker if there is room.
    pub(super) fn distil_wake(self: &Arc<Self>) {
        if !self.focuses.is_empty() && self.pending.work.lock().wake() {
            Worker::of(self).start();
        }
    }

    /// One row less is pending. The crawl pauses when too many wait; it is told when that is over,
    /// by the one worker whose row made the difference.
    fn end_pending(self: &Arc<Self>) {
        if self.pending.end_pending() == self.shared.config.distil.max_pending as u64 {
            self.pump();
        }
    }

    /// The next row. `None` ends the worker: the count of workers is already lowered.
    fn next_turn(self: &Arc<Self>) -> Result<Option<Turn>, Error> {
        loop {
            let halted = self.token.is_cancelled() || self.tokens_used_up();
            let next = self.pending.work.lock().next(halted);
            match next {
                Next::Distil(turn) => return Ok(Some(turn)),
                Next::End => return Ok(None),
                Next::Scan => {}
            }
            let _scanning = self.pending.scan.lock();
            let scan = self.pending.work.lock().begin_scan();
            let claimed = match scan {
                Scan::Without(claimed) => claimed,
                Scan::Needless => continue,
                Scan::End => return Ok(None),
            };
            let found = self.scan(&claimed)?;
            let full = found.len() == SCAN_ROWS;
            let more = self.pending.work.lock().claim(found, full);
            for _ in 0..more {
                Worker::of(self).start();
            }
        }
    }

    fn tokens_used_up(&self) -> bool {
        let used = self.counters.tokens_in.get() + self.counters.tokens_out.get();
        self.job.budget.max_tokens.is_some_and(|most| used >= most)
    }

    /// The first rows that are not claimed.
    fn scan(&self, claimed: &HashSet<Item>) -> Result<Vec<Item>, Error> {
        let tables = &self.shared.tables;
        {
            let mut recent = self.pending.recent.lock();
            recent.flushing = std::mem::take(&mut recent.fresh);
        }
        tables.store.flush()?;
        self.pending.recent.lock().flushing = Written::default();
        let mut found = Vec::new();
        for (focus, _) in &self.focuses {
            for key in tables.pending_distil.keys_prefix(focus.0) {
                let Some(page) = trailing_url_key(&key?) else { continue };
                let item = Item { focus: *focus, page };
                if !claimed.contains(&item) {
                    found.push(item);
                }
                if found.len() == SCAN_ROWS {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    fn distil_item(self: &Arc<Self>, turn: Turn) {
        let item = turn.item;
        let distilled = catch_unwind(AssertUnwindSafe(|| self.try_distil(turn)));
        match distilled.unwrap_or(Err(Error::Panicked { what: "the distilling of a page" })) {
            Ok(Ended::Stored) => {
                self.pending.work.lock().stored(item);
                self.end_pending();
            }
            Ok(Ended::Outdated) => {
                self.pending.work.lock().outdated(item);
                self.end_pending();
            }
            Ok(Ended::Failed) => self.row_failed(),
            Ok(Ended::Later(wait, put_off)) => self.put_off(item, wait, put_off),
            Ok(Ended::Cancelled) => {}
            Err(error) => self.fail(error),
        }
        if self.tokens_used_up() {
            self.stop(StopReason::Budget(BudgetKind::Tokens));
        }
    }

    fn row_failed(self: &Arc<Self>) {
        self.counters.distil_failed.add(1);
        self.pending.work.lock().failed();
        self.end_pending();
    }

    /// Lets the row wait without a worker.
    fn put_off(self: &Arc<Self>, item: Item, wait: Duration, put_off: PutOff) {
        self.pending.work.lock().put_off(item, put_off);
        let run = Arc::downgrade(self);
        let pool = &self.shared.distil_pool;
        let task = pool.task(TASK).priority(Priority::High).cancel_token(&self.token).after(wait);
        let timer = task.spawn(move || {
            if let Some(run) = run.upgrade() {
                run.comes_back(item);
            }
        });
        if timer.status() == TaskStatus::Rejected {
            // The pool has been shut down, or the system has no thread for its timekeeper.
            let taken_back = self.pending.work.lock().take_back(item);
            if taken_back.is_some() {
                self.row_failed();
            }
        }
    }

    /// The wait of a row is over. This task is the worker, where there is room for one.
    fn comes_back(self: &Arc<Self>, item: Item) {
        if self.pending.work.lock().comes_back(item) {
            Worker::of(self).work();
        }
    }
}
