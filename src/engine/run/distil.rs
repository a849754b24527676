//! Distilling what is stored: workers that take rows of `pending_distil` in order.
//!
//! A row is put in the batch of its page and deleted in the batch of its infos, so a crash repeats
//! work and loses none. Workers exist only while there is work: [`RunState::distil_wake`] starts
//! them, and each ends when it finds nothing.
//!
//! A batch becomes visible when its group is flushed. A scan therefore flushes before it reads,
//! and leaves out the rows that were claimed when it began: a row whose deletion is not visible yet
//! is among them.

use std::collections::{HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::infos::{Recent, Written};
use super::{RunState, StopReason};
use crate::engine::Error;
use crate::engine::distill::{DistilError, DistilRequest};
use crate::engine::tables::{FocusId, read_row, trailing_url_key};
use crate::model::{Content, Focus};
use crate::pool::Priority;
use crate::url::UrlKey;

/// Rows claimed by one scan.
const SCAN_ROWS: usize = 256;
/// Failures in a row after which the run distils no further; the rows stay for the next run.
const MAX_FAILURES_IN_A_ROW: u32 = 5;

/// What the workers of a run share.
#[derive(Debug)]
pub(super) struct Distil {
    limit: usize,
    /// Rows known to be pending, those claimed included.
    pending: AtomicU64,
    work: Mutex<Work>,
    /// Held by the one worker that scans.
    scan: Mutex<()>,
    /// What is stored but may not be visible yet.
    pub(super) recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Work {
    queue: VecDeque<Item>,
    claimed: HashSet<Item>,
    workers: usize,
    /// Rows may have been put since the last scan began.
    dirty: bool,
    failures_in_a_row: u32,
}

/// A row of `pending_distil`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Item {
    pub(super) focus: FocusId,
    pub(super) page: UrlKey,
}

impl Distil {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            pending: AtomicU64::new(0),
            work: Mutex::default(),
            scan: Mutex::new(()),
            recent: Mutex::default(),
        }
    }

    /// Rows waiting, those being worked on included.
    pub(super) fn pending(&self) -> u64 {
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
        self.work.lock().failures_in_a_row >= MAX_FAILURES_IN_A_ROW
    }

    pub(super) fn is_working(&self) -> bool {
        self.work.lock().workers > 0
    }

    /// Nothing is being worked on and nothing may have been put since the last look.
    pub(super) fn is_drained(&self) -> bool {
        let work = self.work.lock();
        work.workers == 0 && !work.dirty
    }
}

impl RunState {
    /// Tells the distiller that rows may have been put; starts a worker if there is room.
    pub(super) fn distil_wake(self: &Arc<Self>) {
        if self.focuses.is_empty() {
            return;
        }
        {
            let mut work = self.distil.work.lock();
            work.dirty = true;
            if work.workers >= self.distil.limit {
                return;
            }
            work.workers += 1;
        }
        self.start_worker();
    }

    /// Starts a worker that is counted already.
    fn start_worker(self: &Arc<Self>) {
        let run = Arc::clone(self);
        self.shared.distil_pool.spawn(Priority::Normal, move || run.distil_rows());
    }

    /// One worker: takes rows until there are none.
    fn distil_rows(self: &Arc<Self>) {
        loop {
            match self.next_item() {
                Ok(Some(item)) => self.distil_item(item),
                Ok(None) => break,
                Err(error) => {
                    self.fail(error);
                    self.distil.work.lock().workers -= 1;
                    break;
                }
            }
        }
        self.pump();
    }

    /// One row less is pending. The crawl pauses when too many wait; it is told when that is over,
    /// by the one worker whose row made the difference.
    fn end_pending(self: &Arc<Self>) {
        if self.distil.end_pending() == self.shared.config.distil.max_pending as u64 {
            self.pump();
        }
    }

    /// Claims the next row. `None` ends the worker: the count of workers is already lowered.
    fn next_item(self: &Arc<Self>) -> Result<Option<Item>, Error> {
        loop {
            match self.take_queued() {
                Taken::Item(item) => return Ok(Some(item)),
                Taken::Halt => return Ok(None),
                Taken::Empty => {}
            }
            let _scanning = self.distil.scan.lock();
            let claimed = {
                let mut work = self.distil.work.lock();
                if !work.queue.is_empty() {
                    continue;
                }
                if !work.dirty {
                    work.workers -= 1;
                    return Ok(None);
                }
                work.dirty = false;
                work.claimed.clone()
            };
            let found = self.scan(&claimed)?;
            let more = {
                let mut work = self.distil.work.lock();
                // A full scan may have left rows behind.
                work.dirty |= found.len() == SCAN_ROWS;
                work.claimed.extend(&found);
                work.queue.extend(found);
                // This worker takes one of the rows itself.
                let more = work.queue.len().saturating_sub(1);
                let more = more.min(self.distil.limit.saturating_sub(work.workers));
                work.workers += more;
                more
            };
            for _ in 0..more {
                self.start_worker();
            }
        }
    }

    fn take_queued(&self) -> Taken {
        let mut work = self.distil.work.lock();
        let halted = work.failures_in_a_row >= MAX_FAILURES_IN_A_ROW;
        if halted || self.token.is_cancelled() || self.tokens_used_up() {
            work.dirty = false;
            work.workers -= 1;
            return Taken::Halt;
        }
        work.queue.pop_front().map_or(Taken::Empty, Taken::Item)
    }

    fn tokens_used_up(&self) -> bool {
        let used = self.counters.tokens_in.get() + self.counters.tokens_out.get();
        self.job.budget.max_tokens.is_some_and(|most| used >= most)
    }

    /// The first rows that are not claimed.
    fn scan(&self, claimed: &HashSet<Item>) -> Result<Vec<Item>, Error> {
        let tables = &self.shared.tables;
        {
            let mut recent = self.distil.recent.lock();
            recent.flushing = std::mem::take(&mut recent.fresh);
        }
        tables.store.flush()?;
        self.distil.recent.lock().flushing = Written::default();
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

    fn distil_item(self: &Arc<Self>, item: Item) {
        let distilled = catch_unwind(AssertUnwindSafe(|| self.try_distil(item)));
        match distilled.unwrap_or(Err(Error::Panicked { what: "the distilling of a page" })) {
            Ok(Ended::Stored) => {
                {
                    let mut work = self.distil.work.lock();
                    work.claimed.remove(&item);
                    work.failures_in_a_row = 0;
                }
                self.end_pending();
            }
            // The row is there again, for the new text.
            Ok(Ended::Outdated) => {
                {
                    let mut work = self.distil.work.lock();
                    work.claimed.remove(&item);
                    work.dirty = true;
                }
                self.end_pending();
            }
            // The row stays, and stays claimed: the next run of the job takes it up.
            Ok(Ended::Failed) => {
                self.counters.distil_failed.add(1);
                self.distil.work.lock().failures_in_a_row += 1;
                self.end_pending();
            }
            Ok(Ended::Cancelled) => {}
            Err(error) => self.fail(error),
        }
        if self.tokens_used_up() {
            self.stop(StopReason::Budget(crate::model::BudgetKind::Tokens));
        }
    }

    fn try_distil(&self, item: Item) -> Result<Ended, Error> {
        let row_key = item.focus.pending_key(item.page);
        let tables = &self.shared.tables;
        let focus = self.focus(item.focus);
        let page = tables.page(item.page)?;
        let content = self.content(item.page)?;
        let (Some(focus), Some(page), Some(content)) = (focus, page, content) else {
            // The page was replaced by one without content since the row was put.
            tables.pending_distil.delete(row_key)?;
            return Ok(Ended::Stored);
        };
        let now = self.shared.clock.wall();
        let request = DistilRequest {
            url: &page.url,
            content: &content,
            focus,
            fetched_at: page.fetched_at,
            now,
        };
        match self.shared.distiller.distil(&request, &self.token) {
            Ok(distilled) => self.store_distilled(item, &page, &content, distilled, now),
            Err(DistilError::Cancelled { usage, .. }) => {
                self.count_usage(usage);
                Ok(Ended::Cancelled)
            }
            Err(error) => {
                self.count_usage(error.usage());
                tracing::warn!(url = %page.url, focus = focus.text, %error, "distilling failed");
                // A server that is down says nothing of the page.
                if !error.is_transient() {
                    self.count_attempt(&row_key)?;
                }
                Ok(Ended::Failed)
            }
        }
    }

    pub(super) fn focus(&self, id: FocusId) -> Option<&Focus> {
        self.focuses.iter().find(|(known, _)| *known == id).map(|(_, focus)| focus)
    }

    /// Adds one to the attempts of a row, and deletes it when it has had enough.
    fn count_attempt(&self, row_key: &[u8]) -> Result<(), Error> {
        let rows = &self.shared.tables.pending_distil;
        let Some(value) = rows.get(row_key)? else { return Ok(()) };
        let attempts = value.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)) + 1;
        if attempts >= self.shared.config.distil.max_attempts {
            return Ok(rows.delete(row_key)?);
        }
        Ok(rows.put(row_key, attempts.to_be_bytes())?)
    }

    /// The content of a page, from the cache or the store.
    fn content(&self, key: UrlKey) -> Result<Option<Arc<Content>>, Error> {
        if let Some(content) = self.shared.contents.get(&key) {
            return Ok(Some(content));
        }
        let tables = &self.shared.tables;
        let Some(mut content) = read_row::<Content>(&tables.content, "content", &key.0)? else {
            return Ok(None);
        };
        let Some(text) = tables.text.get(key.0)? else { return Ok(None) };
        content.text = String::from_utf8_lossy(&text).into_owned();
        let content = Arc::new(content);
        self.shared.contents.insert(key, Arc::clone(&content));
        Ok(Some(content))
    }
}

/// What a worker finds in the queue of claimed rows.
enum Taken {
    Item(Item),
    Empty,
    /// The run may not distil any further: the worker ends, its count is already lowered.
    Halt,
}

/// How the distilling of one row ended.
pub(super) enum Ended {
    Stored,
    /// The text of the page was replaced meanwhile.
    Outdated,
    Failed,
    Cancelled,
}
