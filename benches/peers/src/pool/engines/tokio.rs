//! tokio: the threads on which a multi-thread runtime runs blocking closures; no priorities.

use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::super::workers::Workers;
use crate::error::AnyError;

/// Longest wait for the threads to end.
const CLOSE_DEADLINE: Duration = Duration::from_mins(1);

/// A runtime that is used for its blocking threads only.
pub(crate) struct Tokio(Runtime);

impl Tokio {
    /// tokio starts blocking threads as they are needed, and one more for tasks, which stays idle.
    fn with_blocking_threads(most: usize) -> Result<Self, AnyError> {
        let mut builder = Builder::new_multi_thread();
        Ok(Self(builder.worker_threads(1).max_blocking_threads(most).build()?))
    }
}

impl Workers for Tokio {
    fn fixed(threads: usize) -> Result<Self, AnyError> {
        Self::with_blocking_threads(threads)
    }

    fn growing(most: usize) -> Result<Option<Self>, AnyError> {
        Self::with_blocking_threads(most).map(Some)
    }

    fn detach(&self, task: impl FnOnce() + Send + 'static) {
        self.0.spawn_blocking(task);
    }

    fn round_trip<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AnyError> {
        // A channel in place of the handle took half as long again.
        Ok(self.0.block_on(self.0.spawn_blocking(task))?)
    }

    fn close(self) -> Result<(), AnyError> {
        self.0.shutdown_timeout(CLOSE_DEADLINE);
        Ok(())
    }
}
