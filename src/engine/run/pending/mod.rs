//! Distilling what is stored: workers that take rows of `pending_distil` in order.
//!
//! A row is put in the batch of its page and deleted in the batch of its infos, so a crash repeats
//! work and loses none. Workers exist only while there is work: [`RunState::wake_workers`] starts
//! them, and each ends when it finds nothing. A worker is a chain of tasks of the distil pool, one
//! for each row, so that runs take turns.
//!
//! A row whose distiller asks for a wait ([`DistilError::Later`](crate::engine::distil::DistilError))
//! gives its worker up. It stays claimed, waits with the pool's timekeeper, and is taken before all
//! others when it comes back:
//!
//! ```text
//!  store ──scan──▶ queue ──▶ worker ──▶ done, failed
//!                    ▲          │
//!                    └─ waiting ◀┘ Later
//! ```
//!
//! While rows wait the run does not end by itself. One that is stopped, or distils no further
//! because the distiller failed too often, leaves them to the next run, as it does the queue.
//!
//! A batch becomes visible when its group is flushed. A scan therefore flushes before it reads,
//! and leaves out the rows that were claimed when it began: a row whose deletion is not visible yet
//! is among them.

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
    /// Rows known to be pending, those claimed included.
    pending: AtomicU64,
    queue: Mutex<Queue>,
    /// Held by the one worker that scans.
    scan: Mutex<()>,
    /// What is stored but may not be visible yet.
    pub(super) recent: Mutex<Recent>,
}

impl Pending {
    /// For a run with at most `limit` workers.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            pending: AtomicU64::new(0),
            queue: Mutex::new(Queue::new(limit)),
            scan: Mutex::new(()),
            recent: Mutex::default(),
        }
    }

    /// Rows that this run has to distil, those being worked on or waiting for a retry included.
    pub(super) fn count(&self) -> u64 {
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
        self.queue.lock().has_given_up()
    }

    /// Ends the distilling if nothing stands in the way; see [`Queue::end`].
    pub(super) fn end(&self, wanted: bool) -> bool {
        self.queue.lock().end(wanted)
    }

    /// Drops what the rows that still wait would have gone on from.
    pub(super) fn drop_waiting(&self) {
        // A binding, so that the lock is released before the resumptions are dropped.
        let waiting = self.queue.lock().take_waiting();
        drop(waiting);
    }
}
