//! Waiting between attempts, behind a seam so that tests need no time.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::cancel::CancelToken;
use crate::cancel::wait::{WaitError, Waitable};
use crate::time::{ManualClock, deadline_in};

/// A pause was cut short because the token was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Lets time pass between two attempts.
pub trait Pause: Send + Sync + fmt::Debug {
    /// Returns after `duration`, or at once with [`Cancelled`] when `cancel` is or becomes
    /// cancelled.
    fn pause(&self, duration: Duration, cancel: &CancelToken) -> Result<(), Cancelled>;
}

/// Waits on a condition variable with a deadline; a cancellation wakes it.
#[derive(Clone, Copy, Debug, Default)]
pub struct CondvarPause;

impl Pause for CondvarPause {
    fn pause(&self, duration: Duration, cancel: &CancelToken) -> Result<(), Cancelled> {
        match Waitable::new(()).wait(deadline_in(duration), cancel, |()| None::<()>) {
            Err(WaitError::Cancelled) => Err(Cancelled),
            Ok(()) | Err(WaitError::TimedOut) => Ok(()),
        }
    }
}

/// Moves a [`ManualClock`] instead of waiting, and remembers each pause: the test twin of
/// [`CondvarPause`].
#[derive(Debug)]
pub struct ManualPause {
    clock: Arc<ManualClock>,
    taken: Mutex<Vec<Duration>>,
}

impl ManualPause {
    /// A pause that moves `clock`.
    pub fn new(clock: Arc<ManualClock>) -> Arc<Self> {
        Arc::new(Self { clock, taken: Mutex::default() })
    }

    /// The pauses so far, in order.
    pub fn taken(&self) -> Vec<Duration> {
        self.taken.lock().clone()
    }
}

impl Pause for ManualPause {
    fn pause(&self, duration: Duration, cancel: &CancelToken) -> Result<(), Cancelled> {
        if cancel.is_cancelled() {
            return Err(Cancelled);
        }
        self.clock.advance(duration);
        self.taken.lock().push(duration);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_ends_a_pause_of_an_hour() {
        let cancel = CancelToken::new();
        let waiting = cancel.clone();
        let pause =
            std::thread::spawn(move || CondvarPause.pause(Duration::from_hours(1), &waiting));
        cancel.cancel();
        assert_eq!(pause.join().unwrap(), Err(Cancelled));
    }

    #[test]
    fn a_pause_lasts_as_long_as_it_is_told() {
        let start = std::time::Instant::now();
        CondvarPause.pause(Duration::from_millis(20), &CancelToken::new()).unwrap();
        assert!(start.elapsed() >= Duration::from_millis(20));
    }
}
