//! Distilling stored pages: workers take the rows of `pending_distil` in order.
//!
//! A row is put in the batch of its page and deleted in the batch of its infos, so a crash repeats
//! work but loses none. Workers exist only while there is work:
//! [`RunState::wake_workers`](super::RunState) starts them, and each ends when it finds nothing. A
//! worker is a chain of tasks in the distil pool, one for each row, so that concurrent runs take
//! turns.
//!
//! A row whose distiller asks for a wait
//! ([`DistilError::Later`](crate::engine::distil::DistilError)) releases its worker. It stays
//! claimed, waits with the pool's timekeeper, and goes to the front of the queue afterwards:
//!
//! ```text
//!  store ──scan──▶ queue ──▶ worker ──▶ done, failed
//!                    ▲          │
//!                    └─ waiting ◀┘ Later
//! ```
//!
//! While rows wait, the run does not end by itself. A run that is stopped, or whose distiller has
//! failed too often, leaves them to the next run, like the rest of the queue.
//!
//! A batch becomes visible when its group is flushed, so a scan flushes before it reads. It skips
//! the rows that were claimed when it began, because their deletion may not be visible yet.

mod queue;
mod row;
mod worker;

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::recent::Recent;

pub(super) use queue::PendingRow;
use queue::Queue;
pub(super) use row::RowOutcome;

/// What the workers of a run share.
#[derive(Debug)]
pub(super) struct Pending {
    /// Rows known to be pending, including claimed ones.
    rows: AtomicU64,
    queue: Mutex<Queue>,
    /// Held by the one worker that scans.
    scan: Mutex<()>,
    /// Infos and texts that may not be visible in the store yet.
    pub(super) recent: Mutex<Recent>,
}

impl Pending {
    /// For a run with at most `limit` workers.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            rows: AtomicU64::new(0),
            queue: Mutex::new(Queue::new(limit)),
            scan: Mutex::new(()),
            recent: Mutex::default(),
        }
    }

    /// Rows that this run has to distil, including those in progress or waiting for a retry.
    pub(super) fn count(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(super) fn set_pending(&self, rows: u64) {
        self.rows.store(rows, Ordering::Relaxed);
    }

    pub(super) fn add_pending(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Counts one pending row less; returns the count before. Saturates at zero, because a row that
    /// is put again while it waits makes the count inexact.
    fn end_pending(&self) -> u64 {
        let less = |rows: u64| Some(rows.saturating_sub(1));
        self.rows
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, less)
            .unwrap_or_else(|rows| rows)
    }

    /// Whether so many rows failed in succession that this run distils no more.
    pub(super) fn has_given_up(&self) -> bool {
        self.queue.lock().has_given_up()
    }

    /// Ends distilling if possible; see [`Queue::end`].
    pub(super) fn end(&self, wanted: bool) -> bool {
        self.queue.lock().end(wanted)
    }

    /// Drops the resumptions of the rows that still wait.
    pub(super) fn drop_waiting(&self) {
        // A binding, so that the lock is released before the resumptions are dropped.
        let waiting = self.queue.lock().take_waiting();
        drop(waiting);
    }
}
