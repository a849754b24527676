//! The wait between attempts, behind a trait so that tests take no time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::cancel::CancelToken;
use crate::cancel::wait::{WaitError, Waitable};
use crate::time::{ManualClock, deadline_in};

/// A wait was cut short because the token was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Waits between two attempts.
pub trait Timer: Send + Sync + fmt::Debug {
    /// Returns after `duration`, or with [`Cancelled`] as soon as `cancel` is cancelled.
    fn wait(&self, duration: Duration, cancel: &CancelToken) -> Result<(), Cancelled>;
}

/// Blocks the thread on a condition variable, which a cancellation wakes.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemTimer;

impl Timer for SystemTimer {
    fn wait(&self, duration: Duration, cancel: &CancelToken) -> Result<(), Cancelled> {
        match Waitable::new(()).wait(deadline_in(duration), cancel, |()| None::<()>) {
            Err(WaitError::Cancelled) => Err(Cancelled),
            Ok(()) | Err(WaitError::TimedOut) => Ok(()),
        }
    }
}

/// Advances a [`ManualClock`] instead of waiting, and records each wait: the test twin of
/// [`SystemTimer`].
#[derive(Debug)]
pub struct ManualTimer {
    clock: Arc<ManualClock>,
    waits: Mutex<Vec<Duration>>,
}

impl ManualTimer {
    /// A timer that advances `clock`.
    pub fn new(clock: Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self { clock, waits: Mutex::default() })
    }

    /// The waits so far, in order.
    pub fn waits(&self) -> Vec<Duration> {
        self.waits.lock().clone()
    }
}

impl Timer for ManualTimer {
    fn wait(&self, duration: Duration, cancel: &CancelToken) -> Result<(), Cancelled> {
        if cancel.is_cancelled() {
            return Err(Cancelled);
        }
        self.clock.advance(duration);
        self.waits.lock().push(duration);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_ends_a_wait_of_an_hour() {
        let cancel = CancelToken::new();
        let waiting = cancel.clone();
        let waiter =
            std::thread::spawn(move || SystemTimer.wait(Duration::from_hours(1), &waiting));
        cancel.cancel();
        assert_eq!(waiter.join().unwrap(), Err(Cancelled));
    }

    #[test]
    fn a_wait_lasts_as_long_as_asked() {
        let start = std::time::Instant::now();
        SystemTimer.wait(Duration::from_millis(20), &CancelToken::new()).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
