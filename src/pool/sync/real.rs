//! The primitives of `parking_lot` and the standard library.

pub(in crate::pool) use std::sync::atomic;
pub(in crate::pool) use std::{thread, thread_local as thread_state};

pub(in crate::pool) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

/// Parks the thread that created it, with the token that the standard library keeps for each thread:
/// one system call to sleep and one to wake. A task may use the same token, so wake-ups may be
/// spurious.
pub(in crate::pool) struct Parker(Unparker);

#[derive(Clone)]
pub(in crate::pool) struct Unparker(thread::Thread);

impl Parker {
    pub(in crate::pool) fn new() -> Self {
        Self(Unparker(thread::current()))
    }

    pub(in crate::pool) fn unparker(&self) -> &Unparker {
        &self.0
    }

    #[expect(clippy::unused_self, reason = "it stands for its thread")]
    pub(in crate::pool) fn park(&self) {
        thread::park();
    }

    #[expect(clippy::unused_self, reason = "it stands for its thread")]
    pub(in crate::pool) fn park_deadline(&self, deadline: std::time::Instant) {
        thread::park_timeout(deadline.saturating_duration_since(std::time::Instant::now()));
    }
}

impl Unparker {
    pub(in crate::pool) fn unpark(&self) {
        self.0.unpark();
    }
}
