//! rayon: starts all its threads at once and knows no priorities.

use std::sync::mpsc;

use rayon::{ThreadPool, ThreadPoolBuilder};

use super::super::workers::Workers;
use crate::error::AnyError;

/// A pool apart from rayon's global one.
pub(crate) struct Rayon(ThreadPool);

impl Workers for Rayon {
    fn fixed(threads: usize) -> Result<Self, AnyError> {
        Ok(Self(ThreadPoolBuilder::new().num_threads(threads).build()?))
    }

    fn detach(&self, task: impl FnOnce() + Send + 'static) {
        self.0.spawn(task);
    }

    fn round_trip<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AnyError> {
        // `install` waits for a result too, but took twice as long.
        let (sender, result) = mpsc::channel();
        self.0.spawn(move || {
            // Somebody waits for it.
            let _ = sender.send(task());
        });
        Ok(result.recv()?)
    }

    fn close(self) -> Result<(), AnyError> {
        // Its threads end by themselves, and nothing waits for them.
        drop(self.0);
        Ok(())
    }
}
