//! Extracting the stored pages of a job again, without a request.

use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

use super::state::RunState;
use crate::engine::Error;
use crate::engine::tables::trailing_url_key;
use crate::pool::Priority;
use crate::store::StoreError;

impl RunState {
    /// Starts a task for each core. Each takes the next page until there is none, and counts as an
    /// exchange in flight, so the run ends after the last. The queue of the distiller is not waited
    /// for: its rows wait in the store.
    pub(super) fn start_reextraction(self: &Arc<Self>) {
        let tasks = thread::available_parallelism().map_or(1, usize::from);
        self.lifecycle.lock().in_flight += tasks;
        let rows = &self.parts.tables.urls;
        let keys = Arc::new(Mutex::new(rows.prefix(self.id.0.to_be_bytes()).keys()));
        for _ in 0..tasks {
            let (run, keys) = (Arc::clone(self), Arc::clone(&keys));
            self.parts.crawl_pool.spawn(Priority::Normal, move || {
                if let Err(error) = run.reextract_all(&keys) {
                    run.fail(error);
                }
                run.exchange_ended();
            });
        }
    }

    /// Extracts the pages under `keys`, rows of `urls`, until none is left or the run is stopped.
    fn reextract_all<K: AsRef<[u8]>>(
        self: &Arc<Self>,
        keys: &Mutex<impl Iterator<Item = Result<K, StoreError>>>,
    ) -> Result<(), Error> {
        let tables = &self.parts.tables;
        while !self.token.is_cancelled() {
            let Some(key) = keys.lock().next() else { break };
            let Some(key) = trailing_url_key(key?.as_ref()) else { continue };
            // Most URLs have no page: they were refused, failed or redirected.
            if let Some(page) = tables.page(key)?
                && let Some(body) = tables.raw.get(key.0)?
            {
                self.reextract_page(key, &body, &page)?;
            }
        }
        Ok(())
    }
}
