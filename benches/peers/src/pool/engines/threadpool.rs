//! threadpool: a fixed number of threads, one channel, no priorities and no results.

use std::sync::mpsc;

use threadpool::ThreadPool;

use super::super::workers::Workers;
use crate::error::AnyError;

/// A pool whose results come through channels.
pub(crate) struct Threadpool(ThreadPool);

impl Workers for Threadpool {
    fn fixed(threads: usize) -> Result<Self, AnyError> {
        Ok(Self(ThreadPool::new(threads)))
    }

    fn detach(&self, task: impl FnOnce() + Send + 'static) {
        self.0.execute(task);
    }

    fn round_trip<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AnyError> {
        let (sender, result) = mpsc::channel();
        self.0.execute(move || {
            // Somebody waits for it.
            let _ = sender.send(task());
        });
        Ok(result.recv()?)
    }

    fn close(self) -> Result<(), AnyError> {
        self.0.join();
        Ok(())
    }
}
