//! The parts of an open engine, and the order in which they are closed.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::Error;
use super::caches::Caches;
use super::distil::Distiller;
use super::run::RunState;
use super::tables::Tables;
use crate::cancel::CancelToken;
use crate::config::Config;
use crate::extract::Extractor;
use crate::fetch::Fetcher;
use crate::http;
use crate::pool::{Pool, ShutdownMode};
use crate::time::SharedClock;

/// The parts of an open engine, as all its tasks share them.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) dir: PathBuf,
    pub(super) config: Config,
    pub(super) clock: SharedClock,
    pub(super) tables: Tables,
    pub(super) fetcher: Fetcher,
    pub(super) listing_fetcher: Fetcher,
    pub(super) http: http::Client,
    pub(super) extractor: Extractor,
    pub(super) distiller: Arc<dyn Distiller>,
    pub(super) llm: Option<crate::llm::Client>,
    pub(super) caches: Arc<Caches>,
    pub(super) crawl_pool: Pool,
    pub(super) distil_pool: Pool,
    /// Reclaims the store's space. Shut down after the store, which ends that work itself.
    pub(super) store_pool: Pool,
    /// Cancels every run.
    pub(super) token: CancelToken,
    pub(super) closed: AtomicBool,
    pub(super) runs: Mutex<Vec<Arc<RunState>>>,
    /// Held while the figures are collected and written, so that older ones never replace newer
    /// ones, and the file has one writer.
    pub(super) publishing: Mutex<()>,
}

impl Parts {
    /// Ends the runs and the threads, and closes the store, as
    /// [`Engine::close`](super::Engine::close) promises.
    pub(super) fn close(&self, deadline: Duration) -> Result<(), Error> {
        // AcqRel: the first caller sees all that was done before; later callers see it closed.
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let end = self.clock.monotonic().saturating_add(deadline);
        let left = || end.saturating_sub(self.clock.monotonic());
        self.token.cancel();
        let runs = self.runs.lock().clone();
        for run in &runs {
            run.cancel();
        }
        let ended = runs.iter().all(|run| run.wait_ended(left()));
        let crawl = self.crawl_pool.shutdown(ShutdownMode::Cancel, left());
        let distil = self.distil_pool.shutdown(ShutdownMode::Cancel, left());
        // An engine that only read leaves the published figures of the last run in place.
        let published = if runs.is_empty() { Ok(()) } else { self.publish_stats() };
        self.runs.lock().clear();
        let store = self.tables.store.close(left());
        let upkeep = self.store_pool.shutdown(ShutdownMode::Cancel, left());
        if !ended {
            return Err(Error::Deadline { what: "a run", deadline });
        }
        crawl?;
        distil?;
        store?;
        upkeep?;
        published
    }
}
