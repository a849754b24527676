//! affinitypool: a fixed number of threads, sharded queues, futures as handles, no priorities.

use affinitypool::{Builder, Threadpool};

use super::super::workers::Workers;
use crate::error::AnyError;

/// A pool that is used without an async runtime.
pub(crate) struct Affinitypool(Threadpool);

impl Workers for Affinitypool {
    fn fixed(threads: usize) -> Result<Self, AnyError> {
        Ok(Self(Builder::new().worker_threads(threads).build()))
    }

    fn detach(&self, task: impl FnOnce() + Send + 'static) {
        // Dropping the future would cancel the task. Leaking it is cheaper than to keep it.
        std::mem::forget(self.0.spawn(task));
    }

    fn round_trip<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AnyError> {
        Ok(pollster::block_on(self.0.spawn(task)))
    }

    fn close(self) -> Result<(), AnyError> {
        // Waits until the queue is empty and the threads have ended.
        drop(self.0);
        Ok(())
    }
}
