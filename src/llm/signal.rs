//! State that threads wait for: a mutex with a condition variable that a cancellation wakes too.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::cancel::CancelToken;
use crate::time::SharedClock;

/// A point in the time of a clock.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    clock: SharedClock,
    at: Duration,
}

impl Deadline {
    /// The moment `after` from now.
    pub(super) fn after(clock: &SharedClock, after: Duration) -> Self {
        Self { clock: Arc::clone(clock), at: clock.monotonic().saturating_add(after) }
    }

    /// Time left; zero when the moment has passed.
    pub(super) fn left(&self) -> Duration {
        self.at.saturating_sub(self.clock.monotonic())
    }
}

/// Why a wait ended without what was waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// The token was cancelled.
    Cancelled,
    /// The deadline passed.
    Deadline,
}

/// State shared by threads that wait for it to change.
#[derive(Debug)]
pub(super) struct Signal<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T: Send + 'static> Signal<T> {
    pub(super) fn new(state: T) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Changes the state and wakes all who wait for it.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.state.lock());
        self.changed.notify_all();
        result
    }

    /// Reads the state, or changes what nobody waits for.
    pub(super) fn with<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.state.lock())
    }

    /// Waits until `ready` gives something. It is asked at once, and again after each change.
    pub(super) fn wait<R>(
        self: &Arc<Self>,
        deadline: &Deadline,
        cancel: &CancelToken,
        mut ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Result<R, Woken> {
        if let Some(result) = ready(&mut self.state.lock()) {
            return Ok(result);
        }
        // The callback takes the lock before it notifies, so a waiter either sees the flag below
        // or is already waiting when the notification comes.
        let this = Arc::clone(self);
        let _guard = cancel.on_cancel(move || {
            drop(this.state.lock());
            this.changed.notify_all();
        });
        let mut state = self.state.lock();
        loop {
            if let Some(result) = ready(&mut state) {
                return Ok(result);
            }
            if cancel.is_cancelled() {
                return Err(Woken::Cancelled);
            }
            let left = deadline.left();
            if left.is_zero() {
                return Err(Woken::Deadline);
            }
            self.changed.wait_for(&mut state, left);
        }
    }
}
