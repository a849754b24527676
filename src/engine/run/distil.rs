//! Distilling what is stored: workers that take rows of `pending_distil` in order.
//!
//! A row is put in the batch of its page and deleted in the batch of its infos, so a crash repeats
//! work and loses none. Workers exist only while there is work: [`RunState::distil_wake`] starts
//! them, and each ends when it finds nothing.
//!
//! A batch becomes visible when its group is flushed. A scan therefore flushes before it reads,
//! and leaves out the rows that were claimed when it began: a row whose deletion is not visible yet
//! is among them.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use url::Url;

use super::{RunState, StopReason};
use crate::engine::distill::{
    DistilError, DistilRequest, DistilUsage, Distilled, InfoKey, Rejected, RejectedWhy,
};
use crate::engine::tables::{FocusId, PageRow, encode_row, read_row, time_key, trailing_url_key};
use crate::engine::{Error, Quarantined};
use crate::model::{Citation, Content, Focus, Info};
use crate::pool::Priority;
use crate::store::Batch;
use crate::time::Timestamp;
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
    recent: Mutex<Recent>,
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
struct Item {
    focus: FocusId,
    page: UrlKey,
}

/// What was written since the last two flushes.
#[derive(Debug, Default)]
pub(super) struct Recent {
    fresh: Written,
    flushing: Written,
}

/// What was queued for the store and may not be visible yet.
#[derive(Debug, Default)]
struct Written {
    /// Infos with the keys of their rows; `None` where the row was deleted.
    infos: HashMap<InfoKey, Option<(Vec<u8>, Info)>>,
    /// Pages whose text was replaced, with the hash of the new one if there is any.
    texts: HashMap<UrlKey, Option<[u8; 32]>>,
}

/// Holds back the workers of the distiller while the infos of a page are being deleted.
pub(super) type WithdrawGuard<'a> = MutexGuard<'a, Recent>;

impl Recent {
    fn info(&self, key: &InfoKey) -> Option<&Option<(Vec<u8>, Info)>> {
        self.fresh.infos.get(key).or_else(|| self.flushing.infos.get(key))
    }

    /// Whether an info that may not be visible yet cites the page.
    fn cites(&self, url: &Url) -> bool {
        let infos = self.fresh.infos.values().chain(self.flushing.infos.values());
        infos.flatten().any(|(_, info)| {
            info.url == *url || info.also_at.iter().any(|citation| citation.url == *url)
        })
    }
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
                self.count_attempt(&row_key)?;
                Ok(Ended::Failed)
            }
        }
    }

    fn focus(&self, id: FocusId) -> Option<&Focus> {
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

    /// Stores the infos, the refused claims and the end of the row in one batch; nothing if the
    /// text of the page was replaced meanwhile.
    fn store_distilled(
        &self,
        item: Item,
        page: &PageRow,
        content: &Content,
        distilled: Distilled,
        now: Timestamp,
    ) -> Result<Ended, Error> {
        let Distilled { infos, rejected, usage, .. } = distilled;
        self.count_usage(usage);
        let tables = &self.shared.tables;
        let mut batch = tables.store.batch();
        batch.delete(&tables.pending_distil, item.focus.pending_key(item.page));
        // The lock is held until the batch is queued: two workers that find the same fact must
        // not both take it for new.
        let mut recent = self.distil.recent.lock();
        if !self.is_current(&recent, item.page, content)? {
            self.shared.contents.invalidate(&item.page);
            return Ok(Ended::Outdated);
        }
        for info in infos {
            if info.span.of(&content.text) == Some(info.quote.as_str()) {
                self.put_info(&mut batch, &mut recent, item, info)?;
            } else {
                let Info { fact, quote, .. } = info;
                let refused = Rejected { fact, quote, why: RejectedWhy::Ungrounded };
                self.put_quarantined(&mut batch, item, page, refused, now);
            }
        }
        for refused in rejected {
            // What only stands there already, or is more than was asked for, is not in doubt.
            if refused.why != RejectedWhy::Superfluous {
                self.put_quarantined(&mut batch, item, page, refused, now);
            }
        }
        batch.commit_buffered()?;
        self.counters.distilled.add(1);
        Ok(Ended::Stored)
    }

    /// Whether `content` is still what the page says.
    fn is_current(&self, recent: &Recent, page: UrlKey, content: &Content) -> Result<bool, Error> {
        let (fresh, flushing) = (&recent.fresh.texts, &recent.flushing.texts);
        let text = content.fingerprint.text;
        if let Some(current) = fresh.get(&page).or_else(|| flushing.get(&page)) {
            return Ok(*current == Some(text));
        }
        let hash = self.shared.tables.page(page)?.and_then(|row| row.content_hash);
        Ok(hash.is_some_and(|hash| hash == blake3::Hash::from_bytes(text).to_hex().as_str()))
    }

    /// Puts a new info, or adds its citation to the one that states the same fact.
    fn put_info(
        &self,
        batch: &mut Batch,
        recent: &mut Recent,
        item: Item,
        info: Info,
    ) -> Result<(), Error> {
        let tables = &self.shared.tables;
        let key = InfoKey::of(&info);
        let known = match recent.info(&key) {
            Some(known) => known.clone(),
            None => tables.info_of_fact(key)?,
        };
        let (row_key, info) = if let Some((row_key, mut known)) = known {
            let new = Citation::of(&info);
            if known.url == info.url || known.also_at.iter().any(|at| at.url == new.url) {
                return Ok(());
            }
            known.also_at.push(new);
            (row_key, known)
        } else {
            self.counters.infos.add(1);
            (time_key(info.created_at, key.0).to_vec(), info)
        };
        batch.put(&tables.infos, &row_key, encode_row(&info));
        batch.put(&tables.info_keys, key.0, &row_key);
        batch.put(&tables.infos_of, [&item.page.0[..], &row_key].concat(), []);
        recent.fresh.infos.insert(key, Some((row_key, info)));
        Ok(())
    }

    fn count_usage(&self, usage: DistilUsage) {
        self.counters.llm_calls.add(usage.calls - usage.cache_hits);
        self.counters.llm_cache_hits.add(usage.cache_hits);
        self.counters.tokens_in.add(usage.tokens_in);
        self.counters.tokens_out.add(usage.tokens_out);
    }

    /// Deletes the infos that cite a page whose text is no more; `text` is the hash of the new one,
    /// if there is any. An info that other pages state too goes on with the next of them.
    ///
    /// The batch must be queued before what is returned is dropped: until then no worker stores
    /// infos, so none is stored for the old text and none is added to a row that is being deleted.
    pub(super) fn withdraw_infos(
        &self,
        batch: &mut Batch,
        page: UrlKey,
        url: &Url,
        text: Option<[u8; 32]>,
    ) -> Result<WithdrawGuard<'_>, Error> {
        let tables = &self.shared.tables;
        let mut recent = self.distil.recent.lock();
        if recent.cites(url) {
            tables.store.flush()?;
        }
        recent.fresh.texts.insert(page, text);
        for key in tables.infos_of.keys_prefix(page.0) {
            let key = key?;
            batch.delete(&tables.infos_of, &key);
            let row_key = key.get(page.0.len()..).unwrap_or_default();
            let Some(mut info) = read_row::<Info>(&tables.infos, "infos", row_key)? else {
                continue;
            };
            let fact = InfoKey::of(&info);
            info.also_at.retain(|citation| citation.url != *url);
            if info.url == *url {
                if info.also_at.is_empty() {
                    batch.delete(&tables.infos, row_key);
                    batch.delete(&tables.info_keys, fact.0);
                    recent.fresh.infos.insert(fact, None);
                    continue;
                }
                let next = info.also_at.remove(0);
                (info.url, info.quote, info.span) = (next.url, next.quote, next.span);
            }
            batch.put(&tables.infos, row_key, encode_row(&info));
            recent.fresh.infos.insert(fact, Some((row_key.to_vec(), info)));
        }
        Ok(recent)
    }

    fn put_quarantined(
        &self,
        batch: &mut Batch,
        item: Item,
        page: &PageRow,
        refused: Rejected,
        now: Timestamp,
    ) {
        self.counters.quarantined.add(1);
        let row = Quarantined {
            fact: refused.fact,
            quote: refused.quote,
            url: page.url.clone(),
            focus: self.focus(item.focus).map(|focus| focus.text.clone()).unwrap_or_default(),
            why: refused.why,
            created_at: now,
        };
        let bytes = encode_row(&row);
        // Two claims may be alike to the letter: their order tells them apart.
        let number = self.counters.quarantined.get();
        let mut id = [0; 16];
        let hash = blake3::hash(&bytes);
        for (byte, from) in id.iter_mut().zip(number.to_be_bytes().iter().chain(hash.as_bytes())) {
            *byte = *from;
        }
        batch.put(&self.shared.tables.quarantine, time_key(now, id), &bytes);
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
enum Ended {
    Stored,
    /// The text of the page was replaced meanwhile.
    Outdated,
    Failed,
    Cancelled,
}
