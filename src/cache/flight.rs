//! One load of a key, as its waiters see it.

use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Instant;

use parking_lot::Mutex;

use crate::cancel::CancelToken;
use crate::cancel::wait::{WaitError, Waitable};

/// A load under way: one thread leads, others wait.
#[derive(Debug)]
pub(super) struct Flight<V> {
    pub(super) leader: ThreadId,
    /// From this time on another caller may load in the leader's place.
    pub(super) overdue_at: Instant,
    /// Set after `result`. Separate from it because a cancel token's callback owns the state of a
    /// wait and must be `'static`, which the value need not be.
    ended: Waitable<bool>,
    result: Mutex<Option<FlightResult<V>>>,
}

/// How a load ended.
#[derive(Debug)]
pub(super) enum FlightResult<V> {
    /// With a value or a known absence.
    Loaded(Arc<Option<V>>),
    Failed,
}

impl<V> Flight<V> {
    pub(super) fn new(leader: ThreadId, overdue_at: Instant) -> Self {
        Self { leader, overdue_at, ended: Waitable::new(false), result: Mutex::new(None) }
    }

    /// Gives the result to all waiters.
    pub(super) fn finish(&self, result: FlightResult<V>) {
        *self.result.lock() = Some(result);
        self.ended.update(|ended| *ended = true);
    }

    /// Waits for the end, at most until `deadline`; `Ok(None)` if the load failed.
    pub(super) fn wait(
        &self,
        deadline: Instant,
        cancel: Option<&CancelToken>,
    ) -> Result<Option<Arc<Option<V>>>, WaitError> {
        self.ended.wait(deadline, cancel, |ended| ended.then_some(()))?;
        Ok(match &*self.result.lock() {
            Some(FlightResult::Loaded(value)) => Some(Arc::clone(value)),
            Some(FlightResult::Failed) | None => None,
        })
    }
}
