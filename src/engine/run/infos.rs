//! Storing infos, and withdrawing them when the text that they cite is replaced.
//!
//! Workers and the storing of pages meet here. The lock on [`Recent`] is held from reading what is
//! stored until the batch is queued. So two workers never both take a fact for new, and no info of
//! a text is queued after the withdrawal of that text.

use parking_lot::MutexGuard;
use url::Url;

use super::pending::{PendingRow, RowOutcome};
use super::recent::{MAX_RECENT, Recent};
use super::state::RunState;
use crate::engine::distil::{DistilUsage, Distilled, InfoKey, Rejected, RejectedWhy};
use crate::engine::tables::{PageRow, encode_row, read_row, time_key};
use crate::engine::{Error, Quarantined};
use crate::model::{Citation, Content, Info};
use crate::store::Batch;
use crate::time::Timestamp;
use crate::url::UrlKey;

/// Keeps the workers from storing infos while those of a page are deleted.
pub(super) type WithdrawGuard<'a> = MutexGuard<'a, Recent>;

impl RunState {
    /// Stores the infos and the rejected claims and deletes the row, in one batch. Stores nothing
    /// if the page's text was replaced meanwhile.
    pub(super) fn store_distilled(
        &self,
        row: PendingRow,
        page: &PageRow,
        content: &Content,
        distilled: Distilled,
        now: Timestamp,
    ) -> Result<RowOutcome, Error> {
        let Distilled { infos, rejected, usage, .. } = distilled;
        self.count_usage(usage);
        let tables = &self.parts.tables;
        let mut batch = tables.store.batch();
        batch.delete(&tables.pending_distil, row.focus.pending_key(row.page));
        // Held until the batch is queued: two workers that find the same fact must not both take it
        // for new.
        let mut recent = self.pending.recent.lock();
        if !self.is_current(&recent, row.page, content)? {
            self.parts.caches.contents.invalidate(&row.page);
            return Ok(RowOutcome::Outdated);
        }
        for info in infos {
            if info.span.of(&content.text) == Some(info.quote.as_str()) {
                self.put_info(&mut batch, &mut recent, row, info)?;
            } else {
                let Info { fact, quote, .. } = info;
                let refused = Rejected { fact, quote, why: RejectedWhy::Ungrounded };
                self.put_quarantined(&mut batch, row, page, refused, now);
            }
        }
        for refused in rejected {
            // A superfluous claim is not in doubt, so it is no case for the quarantine.
            if refused.why != RejectedWhy::Superfluous {
                self.put_quarantined(&mut batch, row, page, refused, now);
            }
        }
        self.commits.submit(batch)?;
        self.counters.distilled.add(1);
        Ok(RowOutcome::Stored)
    }

    /// Whether `content` is still the content of the page.
    fn is_current(&self, recent: &Recent, page: UrlKey, content: &Content) -> Result<bool, Error> {
        let (fresh, flushing) = (&recent.fresh.texts, &recent.flushing.texts);
        let text = content.fingerprint.text;
        if let Some(current) = fresh.get(&page).or_else(|| flushing.get(&page)) {
            return Ok(*current == Some(text));
        }
        let hash = self.parts.tables.page(page)?.and_then(|row| row.content_hash);
        Ok(hash.is_some_and(|hash| hash == blake3::Hash::from_bytes(text).to_hex().as_str()))
    }

    /// Puts a new info, or adds its citation to the info that states the same fact.
    fn put_info(
        &self,
        batch: &mut Batch,
        recent: &mut Recent,
        row: PendingRow,
        info: Info,
    ) -> Result<(), Error> {
        let tables = &self.parts.tables;
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
        batch.put(&tables.infos_of, [&row.page.0[..], &row_key].concat(), []);
        recent.fresh.infos.insert(key, Some((row_key, info)));
        Ok(())
    }

    pub(super) fn count_usage(&self, usage: DistilUsage) {
        // A custom distiller may count more hits than calls.
        self.counters.llm_calls.add(usage.calls.saturating_sub(usage.cache_hits));
        self.counters.llm_cache_hits.add(usage.cache_hits);
        self.counters.tokens_in.add(usage.tokens_in);
        self.counters.tokens_out.add(usage.tokens_out);
    }

    /// Deletes the infos that cite the replaced text of a page; `text` is the hash of the new text,
    /// if there is one. An info that other pages state too is kept, citing the next of them.
    ///
    /// Queue the batch before dropping the returned guard. Until then no worker stores infos, so
    /// none is stored for the old text and none is added to a row that is being deleted.
    pub(super) fn withdraw_infos(
        &self,
        batch: &mut Batch,
        page: UrlKey,
        url: &Url,
        text: Option<[u8; 32]>,
    ) -> Result<WithdrawGuard<'_>, Error> {
        let tables = &self.parts.tables;
        let mut recent = self.pending.recent.lock();
        if recent.cites(url) || recent.len() >= MAX_RECENT {
            tables.store.flush()?;
            *recent = Recent::default();
        }
        recent.fresh.texts.insert(page, text);
        for key in tables.infos_of.prefix(page.0).keys() {
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
        row: PendingRow,
        page: &PageRow,
        refused: Rejected,
        now: Timestamp,
    ) {
        self.counters.quarantined.add(1);
        let row = Quarantined {
            fact: refused.fact,
            quote: refused.quote,
            url: page.url.clone(),
            focus: self.focus(row.focus).map(|focus| focus.text.clone()).unwrap_or_default(),
            why: refused.why,
            created_at: now,
        };
        let bytes = encode_row(&row);
        // Two claims may be identical, so a counter makes the key unique.
        let number = self.counters.quarantined.get();
        let mut id = [0; 16];
        let hash = blake3::hash(&bytes);
        for (byte, from) in id.iter_mut().zip(number.to_be_bytes().iter().chain(hash.as_bytes())) {
            *byte = *from;
        }
        batch.put(&self.parts.tables.quarantine, time_key(now, id), &bytes);
    }
}
