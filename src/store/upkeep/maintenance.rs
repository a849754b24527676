//! The state of background work: its pool, and what is under way.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use crate::pool::{CancelToken, Periodic, Pool, Task, current_token};

/// How long the end of the store waits for a piece of background work to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Says that no space is being reclaimed when it is dropped.
#[derive(Debug)]
pub(super) struct Reclaiming(Arc<AtomicBool>);

impl Drop for Reclaiming {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The background work of a store.
#[derive(Debug)]
pub(in crate::store) struct Maintenance {
    pool: OnceLock<Option<Pool>>,
    given: Option<Pool>,
    token: CancelToken,
    /// A task that reclaims space is queued or runs.
    reclaiming: Arc<AtomicBool>,
    /// The last attempt found nothing that could be reclaimed: there is nothing to wait for.
    futile: AtomicBool,
    /// Held by whoever copies live records.
    pub(in crate::store) turn: Mutex<()>,
    task: Mutex<Option<Task<()>>>,
    sweep: OnceLock<Option<Periodic>>,
}

impl Maintenance {
    /// Work on the pool given, or on one of its own.
    pub(in crate::store) fn new(given: Option<Pool>) -> Self {
        Self {
            pool: OnceLock::new(),
            given,
            token: CancelToken::new(),
            reclaiming: Arc::default(),
            futile: AtomicBool::new(false),
            turn: Mutex::default(),
            task: Mutex::default(),
            sweep: OnceLock::new(),
        }
    }

    pub(super) fn pool(&self) -> Option<&Pool> {
        let make = || match &self.given {
            Some(pool) => Some(pool.clone()),
            None => Pool::builder()
                .name("store")
                .max(1)
                .build()
                .inspect_err(|error| tracing::warn!(%error, "no thread to reclaim space with"))
                .ok(),
        };
        self.pool.get_or_init(make).as_ref()
    }

    pub(super) const fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Claims the one place of a task that reclaims space; `None` if it is taken, or the store ends.
    pub(super) fn begin_reclaiming(&self) -> Option<Reclaiming> {
        let taken = self.token.is_cancelled() || self.reclaiming.swap(true, Ordering::AcqRel);
        (!taken).then(|| Reclaiming(Arc::clone(&self.reclaiming)))
    }

    /// Has the end of the store wait for this task.
    pub(super) fn watch_reclaiming(&self, task: Task<()>) {
        *self.task.lock() = Some(task);
    }

    /// Starts removing what expires, once.
    pub(super) fn sweep_with(&self, start: impl FnOnce(&Pool) -> Periodic) {
        self.sweep.get_or_init(|| self.pool().map(start));
    }

    /// Notes whether an attempt to reclaim space found any.
    pub(in crate::store) fn gained(&self, gained: bool) {
        self.futile.store(!gained, Ordering::Relaxed);
    }

    /// Whether waiting for space to be reclaimed is of use.
    pub(in crate::store) fn may_gain(&self) -> bool {
        !self.futile.load(Ordering::Relaxed) && !self.token.is_cancelled()
    }

    /// Whether the work of this thread is to stop.
    pub(in crate::store) fn is_stopped(&self) -> bool {
        self.token.is_cancelled() || current_token().is_some_and(|token| token.is_cancelled())
    }

    /// Stops the work, and waits until it has.
    pub(in crate::store) fn stop(&self) {
        self.token.cancel();
        if let Some(task) = self.task.lock().take()
            && task.join_timeout(STOP_DEADLINE).is_none()
        {
            tracing::warn!("reclaiming space goes on while the store ends");
        }
        if let Some(Some(sweep)) = self.sweep.get() {
            sweep.cancel();
            let _ended_or_late = sweep.join_timeout(STOP_DEADLINE);
        }
    }
}
