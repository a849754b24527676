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
    /// From then on another caller may load in the leader's place.
    pub(super) overdue_at: Instant,
    /// Set after the landing. Apart from it, because the callback of a cancel token, which owns what
    /// is waited for, must not own a borrowed value.
    ended: Waitable<bool>,
    landing: Mutex<Option<Landing<V>>>,
}

/// How a load ended.
#[derive(Debug)]
pub(super) enum Landing<V> {
    /// With a value, or with a known absence.
    Loaded(Arc<Option<V>>),
    Failed,
}

impl<V> Flight<V> {
    pub(super) fn new(leader: ThreadId, overdue_at: Instant) -> Self {
        Self { leader, overdue_at, ended: Waitable::new(false), landing: Mutex::new(None) }
    }

    /// Hands the result to all waiters.
    pub(super) fn land(&self, landing: Landing<V>) {
        *self.landing.lock() = Some(landing);
        self.ended.update(|ended| *ended = true);
    }

    /// Waits for the end, at most until `deadline`; `Ok(None)` if the load failed.
    pub(super) fn wait(
        &self,
        deadline: Instant,
        cancel: Option<&CancelToken>,
    ) -> Result<Option<Arc<Option<V>>>, WaitError> {
        self.ended.wait(deadline, cancel, |ended| ended.then_some(()))?;
        Ok(match &*self.landing.lock() {
            Some(Landing::Loaded(value)) => Some(Arc::clone(value)),
            Some(Landing::Failed) | None => None,
        })
    }
}
