//! One load of a key, as those see it who wait for it.

use std::sync::Arc;
use std::thread::ThreadId;
use std::time::Instant;

use parking_lot::{Condvar, Mutex};

use crate::cancel::CancelToken;

/// A load under way: one thread leads, others wait.
#[derive(Debug)]
pub(super) struct Flight<V> {
    pub(super) leader: ThreadId,
    /// From then on another caller may load in the leader's place.
    pub(super) overdue_at: Instant,
    signal: Arc<Signal>,
    landing: Mutex<Option<Landing<V>>>,
}

/// How a load ended.
#[derive(Debug)]
pub(super) enum Landing<V> {
    /// With a value, or with the word that there is none.
    Loaded(Arc<Option<V>>),
    Failed,
}

/// How a wait ended.
#[derive(Debug)]
pub(super) enum Wait<V> {
    Loaded(Arc<Option<V>>),
    /// The load failed: who waited may try.
    Failed,
    /// The time is over.
    Late,
    Cancelled,
}

/// Says that something happened. Apart from the values, so that a token's callback can own it.
#[derive(Debug, Default)]
struct Signal {
    ended: Mutex<bool>,
    changed: Condvar,
}

impl<V> Flight<V> {
    pub(super) fn new(leader: ThreadId, overdue_at: Instant) -> Self {
        Self { leader, overdue_at, signal: Arc::default(), landing: Mutex::new(None) }
    }

    /// Hands the result to all who wait.
    pub(super) fn land(&self, landing: Landing<V>) {
        *self.landing.lock() = Some(landing);
        *self.signal.ended.lock() = true;
        self.signal.changed.notify_all();
    }

    /// Waits for the end, at most until `deadline`. Waiting for another thread goes by real time,
    /// whatever clock the entries expire by.
    pub(super) fn wait(&self, deadline: Instant, cancel: Option<&CancelToken>) -> Wait<V> {
        let waker = Arc::clone(&self.signal);
        let _wake_on_cancel = cancel.map(|token| {
            token.on_cancel(move || {
                // Taken so that the waiter is either before its look at the token or in its wait.
                drop(waker.ended.lock());
                waker.changed.notify_all();
            })
        });
        let mut ended = self.signal.ended.lock();
        while !*ended {
            if cancel.is_some_and(CancelToken::is_cancelled) {
                return Wait::Cancelled;
            }
            if self.signal.changed.wait_until(&mut ended, deadline).timed_out() && !*ended {
                return Wait::Late;
            }
        }
        drop(ended);
        match &*self.landing.lock() {
            Some(Landing::Loaded(value)) => Wait::Loaded(Arc::clone(value)),
            Some(Landing::Failed) | None => Wait::Failed,
        }
    }
}
