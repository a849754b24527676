//! `rusty_pool`: core threads and further ones when none is idle, one channel, no priorities.

use rusty_pool::{Builder, ThreadPool};

use super::super::workers::Workers;
use crate::error::AnyError;

/// Core threads of a pool that grows.
const CORE: usize = 2;

/// A pool without its support for futures.
pub(crate) struct RustyPool(ThreadPool);

impl Workers for RustyPool {
    fn fixed(threads: usize) -> Result<Self, AnyError> {
        Ok(Self(Builder::new().core_size(threads).max_size(threads).build()))
    }

    fn growing(most: usize) -> Result<Option<Self>, AnyError> {
        Ok(Some(Self(Builder::new().core_size(CORE).max_size(most).build())))
    }

    fn detach(&self, task: impl FnOnce() + Send + 'static) {
        self.0.execute(task);
    }

    fn round_trip<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AnyError> {
        Ok(self.0.evaluate(task).try_await_complete()?)
    }

    fn close(self) -> Result<(), AnyError> {
        self.0.shutdown_join();
        Ok(())
    }
}
