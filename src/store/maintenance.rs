//! When space is reclaimed and what has expired is removed: on a pool, at low priority.
//!
//! An expired row is invisible at once, to look-ups, iterators, snapshots and counts. Every ten
//! seconds the rows at the front of the list by expiry are removed, 1,000 a batch. The removals are
//! logged operations on the condition that the row still has the expiry that was seen. So a value
//! put again in between stays, and a recovery repeats the same decisions.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::Mutex;

use super::dictionaries;
use super::reclaim;
use super::shared::Shared;
use crate::pool::{CancelToken, Kind, Periodic, Pool, Priority, Task, current_token};

/// How often what has expired is removed. It is invisible before that.
const SWEEP_PERIOD: Duration = Duration::from_secs(10);
/// How long the end of the store waits for a piece of background work to stop.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// Says that no space is being reclaimed when it is dropped.
struct Busy(Arc<AtomicBool>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// The background work of a store.
#[derive(Debug)]
pub(super) struct Maintenance {
    pool: OnceLock<Option<Pool>>,
    given: Option<Pool>,
    token: CancelToken,
    /// A task that reclaims space is queued or runs.
    reclaiming: Arc<AtomicBool>,
    /// The last attempt found nothing that could be reclaimed: there is nothing to wait for.
    futile: AtomicBool,
    /// Held by whoever copies live records.
    pub(super) turn: Mutex<()>,
    task: Mutex<Option<Task<()>>>,
    sweep: OnceLock<Option<Periodic>>,
}

impl Maintenance {
    /// Work on the pool given, or on one of its own.
    pub(super) fn new(given: Option<Pool>) -> Self {
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

    fn pool(&self) -> Option<&Pool> {
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

    /// Starts reclaiming space if there is enough to gain.
    pub(super) fn look(&self, shared: &Arc<Shared>) {
        // The checkpoint just taken may have retired enough, and then nothing else says so.
        if !reclaim::lags(shared, 0) {
            shared.slow_down(false);
        }
        if !reclaim::is_due(shared)
            || self.token.is_cancelled()
            || self.reclaiming.swap(true, Ordering::AcqRel)
        {
            return;
        }
        // Also when the task is cancelled before it runs, or there is no pool.
        let busy = Busy(Arc::clone(&self.reclaiming));
        let Some(pool) = self.pool().filter(|pool| !pool.is_shut_down()) else {
            // Waiting for it is of no use.
            self.gained(false);
            return shared.slow_down(false);
        };
        let weak = Arc::downgrade(shared);
        let task = pool.task("store-reclaim").priority(Priority::Low).cancel_token(&self.token);
        let task = task.spawn(move || {
            let _busy = busy;
            if let Some(shared) = Weak::upgrade(&weak) {
                reclaim::run(&shared);
            }
        });
        *self.task.lock() = Some(task);
    }

    /// Has a dictionary trained and stored.
    pub(super) fn train(
        &self,
        shared: &Arc<Shared>,
        keyspace: u32,
        samples: Vec<Vec<u8>>,
        level: i32,
    ) {
        let Some(pool) = self.pool() else { return };
        let weak = Arc::downgrade(shared);
        let task = pool.task("store-train").kind(Kind::Cpu).priority(Priority::Low);
        drop(task.cancel_token(&self.token).spawn(move || {
            let trained = dictionaries::train(&samples, level);
            drop(samples);
            let Some(shared) = Weak::upgrade(&weak) else { return };
            let stored = trained.and_then(|dictionary| match dictionary {
                Some(dictionary) => shared.store_dictionary(keyspace, dictionary),
                None => Ok(()),
            });
            if let Err(error) = stored {
                tracing::warn!(%error, "no dictionary for a keyspace");
            }
        }));
    }

    /// Has what expires removed from now on.
    pub(super) fn expect_expiry(&self, shared: &Arc<Shared>) {
        self.sweep.get_or_init(|| {
            let weak = Arc::downgrade(shared);
            let task = self.pool()?.task("store-expire").priority(Priority::Low);
            Some(task.cancel_token(&self.token).every(SWEEP_PERIOD, move || {
                if let Some(shared) = Weak::upgrade(&weak)
                    && let Err(error) = reclaim::sweep(&shared)
                {
                    tracing::debug!(%error, "expired keys not removed");
                }
            }))
        });
    }

    /// Notes whether an attempt to reclaim space found any.
    pub(super) fn gained(&self, gained: bool) {
        self.futile.store(!gained, Ordering::Relaxed);
    }

    /// Whether waiting for space to be reclaimed is of use.
    pub(super) fn may_gain(&self) -> bool {
        !self.futile.load(Ordering::Relaxed) && !self.token.is_cancelled()
    }

    /// Whether the work of this thread is to stop.
    pub(super) fn is_stopped(&self) -> bool {
        self.token.is_cancelled() || current_token().is_some_and(|token| token.is_cancelled())
    }

    /// Stops the work, and waits until it has.
    pub(super) fn stop(&self) {
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
