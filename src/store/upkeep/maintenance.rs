//! The state of background work: its pool, and what is running.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;

use crate::pool::{CancelToken, Periodic, Pool, Task, current_token};

/// How long closing the store waits for a background task to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Clears the mark of a running reclaim task when dropped.
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
    /// A task that reclaims space is queued or running.
    reclaiming: Arc<AtomicBool>,
    /// The last attempt reclaimed nothing, so there is no point in delaying callers.
    futile: AtomicBool,
    /// Locked while live records are copied: two threads that copied the same ones would leave the
    /// copies of one as dead bytes.
    pub(in crate::store) copy_lock: Mutex<()>,
    task: Mutex<Option<Task<()>>>,
    sweep: OnceLock<Option<Periodic>>,
}

impl Maintenance {
    /// Uses the pool given, or one of its own.
    pub(in crate::store) fn new(given: Option<Pool>) -> Self {
        Self {
            pool: OnceLock::new(),
            given,
            token: CancelToken::new(),
            reclaiming: Arc::default(),
            futile: AtomicBool::new(false),
            copy_lock: Mutex::default(),
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
                .inspect_err(|error| tracing::warn!(%error, "cannot start a pool to reclaim space"))
                .ok(),
        };
        self.pool.get_or_init(make).as_ref()
    }

    pub(super) const fn token(&self) -> &CancelToken {
        &self.token
    }

    /// Marks a reclaim task as running; `None` if there is one already, or the store is closing.
    pub(super) fn begin_reclaiming(&self) -> Option<Reclaiming> {
        let taken = self.token.is_cancelled() || self.reclaiming.swap(true, Ordering::AcqRel);
        (!taken).then(|| Reclaiming(Arc::clone(&self.reclaiming)))
    }

    /// Makes closing the store wait for this task.
    pub(super) fn watch_reclaiming(&self, task: Task<()>) {
        *self.task.lock() = Some(task);
    }

    /// Starts the periodic removal of expired keys, once.
    pub(super) fn sweep_with(&self, start: impl FnOnce(&Pool) -> Periodic) {
        self.sweep.get_or_init(|| self.pool().map(start));
    }

    /// Notes whether an attempt to reclaim space freed any.
    pub(in crate::store) fn gained(&self, gained: bool) {
        self.futile.store(!gained, Ordering::Relaxed);
    }

    /// Whether reclaiming is likely to free space.
    pub(in crate::store) fn may_gain(&self) -> bool {
        !self.futile.load(Ordering::Relaxed) && !self.token.is_cancelled()
    }

    /// Whether the task of this thread should stop.
    pub(in crate::store) fn is_stopped(&self) -> bool {
        self.token.is_cancelled() || current_token().is_some_and(|token| token.is_cancelled())
    }

    /// Stops all tasks, and waits for them.
    pub(in crate::store) fn stop(&self) {
        self.token.cancel();
        if let Some(task) = self.task.lock().take()
            && task.join_timeout(STOP_DEADLINE).is_none()
        {
            tracing::warn!("space is still being reclaimed while the store closes");
        }
        if let Some(Some(sweep)) = self.sweep.get() {
            sweep.cancel();
            let _ended_or_late = sweep.join_timeout(STOP_DEADLINE);
        }
    }
}
