//! The primitives of `parking_lot` and the standard library.

pub(crate) use std::sync::atomic;
pub(crate) use std::{thread, thread_local as thread_state};

pub(crate) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

/// Parks the thread that created it, by the standard library's token of that thread: one system
/// call to sleep and one to wake. Tasks may use the same token, so wake-ups can be spurious.
pub(crate) struct Parker(Unparker);

#[derive(Clone)]
pub(crate) struct Unparker(thread::Thread);

impl Parker {
    pub(crate) fn new() -> Self {
        Self(Unparker(thread::current()))
    }

    pub(crate) fn unparker(&self) -> &Unparker {
        &self.0
    }

    #[expect(clippy::unused_self, reason = "it stands for its thread")]
    pub(crate) fn park(&self) {
        thread::park();
    }

    #[expect(clippy::unused_self, reason = "it stands for its thread")]
    pub(crate) fn park_deadline(&self, deadline: std::time::Instant) {
        thread::park_timeout(deadline.saturating_duration_since(std::time::Instant::now()));
    }
}

impl Unparker {
    pub(crate) fn unpark(&self) {
        self.0.unpark();
    }
}
