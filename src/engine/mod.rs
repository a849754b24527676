//! The engine: the one place where the parts are wired together.
//!
//! [`Engine::open`] opens a directory; [`Engine::run`] starts a [`Job`] and gives a [`Run`] that
//! can be watched, cancelled and waited for; [`Engine::infos`], [`Engine::pages`], [`Engine::get`]
//! and [`Engine::why`] read what was stored. Dropping the last [`Engine`] closes it.
//!
//! Invariants:
//! - A page, its content, its links, its rows to distil and its done-mark are one atomic batch.
//! - No stage waits for a later one: a fetch starts only when the crawl's own limits and the
//!   backlog of the distiller allow it, and a task never blocks on another.
//! - The quote of every stored [`Info`](crate::model::Info) is exactly the bytes of the stored
//!   text at its span; this is checked again right before it is stored.

mod adapters;
mod caches;
pub mod distil;
mod error;
mod parts;
mod query;
mod run;
mod stats;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::cancel::CancelToken;
use crate::config::Config;
use crate::extract::Extractor;
use crate::http::{Resolve, SystemResolver};
use crate::llm;
use crate::model::Job;
use crate::pool::MemoryPressure;
use crate::store::{BackupReport, CheckReport, CompactReport, Store};
use crate::time::{SharedClock, SystemClock};

pub use adapters::extract_options;
use caches::Caches;
use distil::Distiller;
pub use error::Error;
use parts::Parts;
pub use query::{
    Explanation, InfoQuery, PageCursor, PageEntry, PageQuery, Quarantined, StoredPage,
};
pub use run::{LlmTotals, Progress, Report, Run, StopReason};
pub use stats::{Stats, published_stats};
use tables::Tables;

/// How long dropping the last handle waits for running work before it gives up on it.
const DROP_DEADLINE: Duration = Duration::from_secs(10);

/// An open directory with everything that works on it. Clones share it; dropping the last one
/// closes it, like [`Engine::close`] with a deadline of ten seconds.
#[derive(Clone, Debug)]
pub struct Engine {
    handle: Arc<CloseOnDrop>,
}

/// Closes the engine when the last [`Engine`] is dropped, even while tasks still hold the parts.
#[derive(Debug)]
struct CloseOnDrop {
    parts: Arc<Parts>,
}

/// Sets an engine up. Made by [`Engine::builder`].
#[derive(Debug)]
pub struct EngineBuilder {
    dir: PathBuf,
    create: bool,
    config: Config,
    clock: Option<SharedClock>,
    resolver: Arc<dyn Resolve>,
    distiller: Option<Arc<dyn Distiller>>,
    memory_pressure: Option<Arc<dyn MemoryPressure>>,
}

impl Engine {
    /// Opens the directory with the default configuration; creates it where it is missing.
    ///
    /// Fails with [`StoreError::InUse`](crate::store::StoreError) while another process has it
    /// open.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, Error> {
        Self::builder(dir).build()
    }

    /// Starts building an engine on the directory.
    pub fn builder(dir: impl AsRef<Path>) -> EngineBuilder {
        EngineBuilder {
            dir: dir.as_ref().to_path_buf(),
            create: true,
            config: Config::default(),
            clock: None,
            resolver: Arc::new(SystemResolver),
            distiller: None,
            memory_pressure: None,
        }
    }

    /// Starts a job, or resumes the unfinished run of the job with this name. A finished job is run
    /// again: stored pages are requested conditionally, and only changes are stored.
    ///
    /// Returns as soon as the run has started. Dropping the [`Run`] does not end it.
    pub fn run(&self, job: Job) -> Result<Run, Error> {
        run::start(self, job)
    }

    /// The current figures of all parts.
    pub fn stats(&self) -> Result<Stats, Error> {
        Ok(self.parts()?.stats())
    }

    /// The engine's store, for keyspaces of your own. Their names must begin with `user/`.
    pub fn store(&self) -> Result<Store, Error> {
        Ok(self.parts()?.tables.store.clone())
    }

    /// Verifies every record and every pointer of the store. Runs may continue meanwhile.
    pub fn check(&self) -> Result<CheckReport, Error> {
        Ok(self.parts()?.tables.store.check()?)
    }

    /// Makes the store as small as possible. Runs may continue meanwhile. Space is reclaimed in the
    /// background anyway; this reclaims the rest.
    pub fn compact(&self) -> Result<CompactReport, Error> {
        Ok(self.parts()?.tables.store.compact()?)
    }

    /// Copies the current state of the store into `dir`, which is created if needed and must not
    /// hold a store. Runs may continue meanwhile. On return the copy is durable, and an engine can
    /// be opened on it. Remove the copy if the call was interrupted: it does not open, or it is
    /// empty.
    pub fn backup(&self, dir: impl AsRef<Path>) -> Result<BackupReport, Error> {
        Ok(self.parts()?.tables.store.backup(dir)?)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.handle.parts.dir
    }

    /// The configuration in force.
    pub fn config(&self) -> &Config {
        &self.handle.parts.config
    }

    /// Cancels the runs, ends the threads, flushes the store and releases the directory, all within
    /// `deadline`. Acknowledged work is stored; work in flight is repeated by the next run of its
    /// job. A second call does nothing.
    ///
    /// On [`Error::Deadline`] the directory is released when the last thread ends.
    pub fn close(&self, deadline: Duration) -> Result<(), Error> {
        self.handle.parts.close(deadline)
    }

    fn parts(&self) -> Result<&Arc<Parts>, Error> {
        if self.handle.parts.closed.load(Ordering::Acquire) {
            return Err(Error::Closed);
        }
        Ok(&self.handle.parts)
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Err(error) = self.parts.close(DROP_DEADLINE) {
            tracing::warn!(%error, dir = %self.parts.dir.display(), "closing the engine failed");
        }
    }
}

impl EngineBuilder {
    /// Sets whether to create a store where the directory is missing or holds none. Default: yes.
    /// Otherwise the directory is left alone, and [`build`](Self::build) fails with
    /// [`Error::NothingStored`].
    #[must_use]
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }

    /// Sets the configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the source of time; the default is the system's clock.
    #[must_use]
    pub fn clock(mut self, clock: SharedClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets the resolver for pages, proxy and model alike; the default is the system's. Its
    /// addresses are checked like any others: private ones are contacted only if
    /// `crawl.allow_private` is set, except the model's, which the configuration names.
    #[must_use]
    pub fn resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// Sets the distiller. The default is the configured model, or the extractive distiller if
    /// there is none.
    #[must_use]
    pub fn distiller(mut self, distiller: Arc<dyn Distiller>) -> Self {
        self.distiller = Some(distiller);
        self
    }

    /// Sets the source that reports memory pressure. Under pressure, the pools start no worker
    /// beyond their first, and the caches give up half of their memory every ten seconds. Both
    /// pools query the source, and each registers a function to be called when the pressure ends.
    /// The default never reports pressure.
    #[must_use]
    pub fn memory_pressure(mut self, pressure: Arc<dyn MemoryPressure>) -> Self {
        self.memory_pressure = Some(pressure);
        self
    }

    /// Opens the directory and starts the engine.
    pub fn build(self) -> Result<Engine, Error> {
        let Self { dir, create, config, clock, resolver, distiller, memory_pressure } = self;
        config.validate()?;
        if !create && !Store::exists(&dir)? {
            return Err(Error::NothingStored { dir });
        }
        let clock = clock.unwrap_or_else(SystemClock::shared);
        let pressure = memory_pressure.as_ref();
        // A pool of its own: reclaiming space would delay the shutdown of the crawl's pool.
        let store_pool = adapters::pool("store", 1, &config, pressure)?;
        let store = adapters::store(&dir, &config, &clock, &store_pool)?;
        let tables = Tables::open(store, &config.store)?;
        let http = adapters::crawl_client(&config, &clock, &resolver)?;
        let llm = adapters::llm_client(&config, &clock, &resolver, &tables)?;
        let mut caches = Caches::new(&config, &clock);
        caches.add("dns_cache", http.dns_cache());
        caches.add("response_cache", llm.as_ref().and_then(llm::Client::response_cache));
        let distiller = match distiller {
            Some(distiller) => distiller,
            None => adapters::distiller(&config, llm.clone(), caches.templates.clone()),
        };
        // One spare worker for urgent tasks.
        let crawl_pool = adapters::pool("crawl", config.crawl.concurrency + 1, &config, pressure)?;
        // No spare worker: beyond the model's limit on calls it could only wait for its turn.
        let workers = adapters::distil_workers(&config);
        let distil_pool = adapters::pool("distil", workers, &config, pressure)?;
        let caches = Arc::new(caches);
        // Dropping the handle does not end the task; it runs as long as the pool.
        drop(adapters::upkeep(&crawl_pool, &caches, memory_pressure));
        let parts = Parts {
            dir,
            fetcher: adapters::fetcher(http.clone(), &clock),
            listing_fetcher: adapters::listing_fetcher(http.clone(), &clock),
            extractor: Extractor::new(adapters::extract_options(&config)?),
            caches,
            crawl_pool,
            distil_pool,
            store_pool,
            config,
            clock,
            tables,
            http,
            distiller,
            llm,
            token: CancelToken::new(),
            closed: AtomicBool::new(false),
            runs: Mutex::new(Vec::new()),
            publishing: Mutex::new(()),
        };
        Ok(Engine { handle: Arc::new(CloseOnDrop { parts: Arc::new(parts) }) })
    }
}
