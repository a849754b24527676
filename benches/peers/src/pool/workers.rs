//! What a pool must be able to do to be measured.

use std::cell::Cell;

use crate::error::AnyError;

/// A thread pool as the measurements see it.
pub(crate) trait Workers: Sized {
    /// A pool of `threads` threads, neither more nor, once it was used, fewer.
    fn fixed(threads: usize) -> Result<Self, AnyError>;

    /// A pool of at most two threads that starts more, up to that number, when tasks find none free.
    /// `None` if the engine has no such pools.
    fn growing(_most: usize) -> Result<Option<Self>, AnyError> {
        Ok(None)
    }

    /// Submits a task of normal priority whose result nobody wants.
    fn detach(&self, task: impl FnOnce() + Send + 'static);

    /// Submits one of the highest priority, or as any other if the engine knows none.
    fn detach_urgent(&self, task: impl FnOnce() + Send + 'static) {
        self.detach(task);
    }

    /// Submits a task of normal priority and waits for its result, by the fastest means that the
    /// engine's users have.
    fn round_trip<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AnyError>;

    /// Ends the pool when all tasks have run.
    fn close(self) -> Result<(), AnyError>;
}

/// The error of a task that was run by the thread that submitted it.
pub(crate) const STRAY: &str = "a task ran on the thread that submitted it";

thread_local! {
    static SUBMITTER: Cell<bool> = const { Cell::new(false) };
}

/// Remembers that this thread submits tasks, and so must run none.
pub(crate) fn mark_submitter() {
    SUBMITTER.set(true);
}

/// Whether this thread submits tasks. Every measured task asks; that is one load.
pub(crate) fn is_submitter() -> bool {
    SUBMITTER.get()
}
