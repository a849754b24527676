//! What every task has, whatever it runs and returns.

use std::time::Duration;

use super::settings::TaskSettings;
use super::status::{TaskId, TaskStatus};
use crate::pool::admission::Ticket;
use crate::pool::priority::{Kind, Priority};
use crate::sync::atomic::{AtomicU8, Ordering};

/// Identifies a pool within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct PoolNumber(pub(in crate::pool) u32);

pub(in crate::pool) struct Header {
    pub(in crate::pool) id: TaskId,
    /// Monotonic nanoseconds at submission, exact if `measured`.
    pub(super) submitted: u64,
    pub(in crate::pool) pool: PoolNumber,
    pub(in crate::pool) priority: Priority,
    pub(in crate::pool) kind: Kind,
    /// Whether the task's times go into the histograms.
    pub(super) measured: bool,
    /// A [`TaskStatus`]. Read without a lock; changed under the lock of the record's body, except
    /// for the last step of a task to which no handle exists.
    state: AtomicU8,
}

impl Header {
    #[inline]
    pub(super) fn new(settings: &TaskSettings, ticket: Ticket, pool: PoolNumber) -> Self {
        let status =
            if settings.delay.is_zero() { TaskStatus::Queued } else { TaskStatus::Delayed };
        Self {
            id: TaskId(ticket.id()),
            submitted: ticket.submitted,
            pool,
            priority: settings.priority,
            kind: settings.kind,
            measured: ticket.is_measured(),
            state: AtomicU8::new(status as u8),
        }
    }

    #[inline]
    pub(in crate::pool) fn status(&self) -> TaskStatus {
        // Acquire pairs with the Release in `set`: a thread that sees a state also sees what the
        // thread that set it had done before, such as storing the result.
        TaskStatus::ALL[usize::from(self.state.load(Ordering::Acquire))]
    }

    #[inline]
    pub(super) fn set(&self, status: TaskStatus) {
        // Release pairs with the Acquire in `status`.
        self.state.store(status as u8, Ordering::Release);
    }

    /// Monotonic time of the submission, to order tasks by age.
    pub(in crate::pool) fn submitted(&self) -> Duration {
        Duration::from_nanos(self.submitted)
    }
}
