//! gristmill's pool, as it is built by default.

use std::time::Duration;

use gristmill::pool::{Pool, Priority, ShutdownMode};

use super::super::workers::Workers;
use crate::error::AnyError;

/// Longest wait for the threads to end.
const CLOSE_DEADLINE: Duration = Duration::from_mins(1);

/// Least number of threads of a pool that grows.
const LEAST: usize = 2;

/// A pool of blocking tasks.
pub(crate) struct Gristmill(Pool);

impl Workers for Gristmill {
    fn fixed(threads: usize) -> Result<Self, AnyError> {
        Ok(Self(Pool::builder().min(threads).max(threads).build()?))
    }

    fn growing(most: usize) -> Result<Option<Self>, AnyError> {
        Ok(Some(Self(Pool::builder().min(LEAST).max(most).build()?)))
    }

    fn detach(&self, task: impl FnOnce() + Send + 'static) {
        self.0.spawn(Priority::Normal, task);
    }

    fn detach_urgent(&self, task: impl FnOnce() + Send + 'static) {
        self.0.spawn(Priority::Urgent, task);
    }

    fn round_trip<T: Send + 'static>(
        &self,
        task: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, AnyError> {
        Ok(self.0.spawn(Priority::Normal, task).join()?)
    }

    fn close(self) -> Result<(), AnyError> {
        Ok(self.0.shutdown(ShutdownMode::Drain, CLOSE_DEADLINE)?)
    }
}
