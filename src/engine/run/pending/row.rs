//! Distilling one row.

use std::sync::Arc;
use std::time::Duration;

use super::super::state::RunState;
use super::queue::{Attempt, Deferral};
use crate::engine::Error;
use crate::engine::distil::{DistilError, DistilRequest};
use crate::engine::tables::{FocusId, read_row};
use crate::model::{Content, Focus};
use crate::url::UrlKey;

/// Most times that a row is deferred in one run, as [`DistilError::Later`] documents.
const MAX_DEFERRALS: u32 = 100;
/// Longest wait of a deferred row, as [`DistilError::Later`] documents.
const MAX_WAIT: Duration = Duration::from_hours(1);

/// How the distilling of one row ended.
pub(in crate::engine) enum RowOutcome {
    Stored,
    /// The page's text was replaced meanwhile: the row is pending again, for the new text.
    Outdated,
    /// The row stays for the next run of the job.
    Failed,
    /// The row is to be tried again after a wait.
    Later(Duration, Deferral),
    Cancelled,
}

impl RunState {
    pub(super) fn try_distil(&self, attempt: Attempt) -> Result<RowOutcome, Error> {
        let Attempt { row, deferral } = attempt;
        let row_key = row.focus.pending_key(row.page);
        let tables = &self.parts.tables;
        let focus = self.focus(row.focus);
        let page = tables.page(row.page)?;
        let content = self.content(row.page)?;
        let (Some(focus), Some(page), Some(content)) = (focus, page, content) else {
            // The page was replaced by one without content since the row was put.
            tables.pending_distil.delete(row_key)?;
            return Ok(RowOutcome::Stored);
        };
        let now = self.parts.clock.wall();
        let request = DistilRequest {
            url: &page.url,
            content: &content,
            focus,
            fetched_at: page.fetched_at,
            now,
        };
        let (times, text) = (deferral.as_ref().map_or(0, |it| it.times), content.fingerprint.text);
        // A resumption belongs to one text, and the text may have been replaced.
        let resumption = deferral.filter(|it| it.text == text).and_then(|it| it.resumption);
        match self.parts.distiller.distil_or_later(&request, resumption, &self.token) {
            Ok(distilled) => self.store_distilled(row, &page, &content, distilled, now),
            Err(DistilError::Cancelled { usage, .. }) => {
                self.count_usage(usage);
                Ok(RowOutcome::Cancelled)
            }
            Err(DistilError::Later { usage, wait, resumption, source, .. })
                if times < MAX_DEFERRALS && wait <= MAX_WAIT =>
            {
                self.count_usage(usage);
                tracing::debug!(url = %page.url, error = %source, ?wait, "distilling is put off");
                Ok(RowOutcome::Later(wait, Deferral { times: times + 1, text, resumption }))
            }
            Err(error) => {
                self.count_usage(error.usage());
                tracing::warn!(url = %page.url, focus = focus.text, %error, "distilling failed");
                // A failure of the server says nothing about the page.
                if !error.is_transient() {
                    self.count_attempt(&row_key)?;
                }
                Ok(RowOutcome::Failed)
            }
        }
    }

    pub(in crate::engine) fn focus(&self, id: FocusId) -> Option<&Focus> {
        self.focuses.iter().find(|(known, _)| *known == id).map(|(_, focus)| focus)
    }

    /// Counts a failed attempt, and deletes the row after the last one allowed.
    fn count_attempt(&self, row_key: &[u8]) -> Result<(), Error> {
        let rows = &self.parts.tables.pending_distil;
        let Some(value) = rows.get(row_key)? else { return Ok(()) };
        let attempts = value.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes)) + 1;
        if attempts >= self.parts.config.distil.max_attempts {
            return Ok(rows.delete(row_key)?);
        }
        Ok(rows.put(row_key, attempts.to_be_bytes())?)
    }

    /// The content of a page, from the cache or the store.
    fn content(&self, key: UrlKey) -> Result<Option<Arc<Content>>, Error> {
        if let Some(content) = self.parts.caches.contents.get(&key) {
            return Ok(Some(content));
        }
        let tables = &self.parts.tables;
        let Some(mut content) = read_row::<Content>(&tables.content, "content", &key.0)? else {
            return Ok(None);
        };
        let Some(text) = tables.text.get(key.0)? else { return Ok(None) };
        content.text = String::from_utf8_lossy(&text).into_owned();
        let content = Arc::new(content);
        self.parts.caches.contents.insert(key, Arc::clone(&content));
        Ok(Some(content))
    }
}
