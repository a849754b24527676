//! The primitives that the pool's protocols are made of.
//!
//! Usually they are those of `parking_lot` and the standard library. In the model
//! checks (`gristmill_model`, see this folder's README) the same names are those of a checker, which
//! tries the orders in which threads can take their steps.

#[cfg(not(all(test, gristmill_model)))]
pub(super) use real::*;

#[cfg(not(all(test, gristmill_model)))]
mod real {
    pub(in crate::pool) use std::sync::atomic;
    pub(in crate::pool) use std::{thread, thread_local as thread_state};

    pub(in crate::pool) use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

    /// Parks the thread that made it, by the token that the standard library keeps for each thread:
    /// one system call each to sleep and to wake. A task may have used that token, so a wake-up may
    /// be for nothing.
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
}

#[cfg(all(test, gristmill_model))]
pub(super) use model::*;

#[cfg(all(test, gristmill_model))]
mod model;
