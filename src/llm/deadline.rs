//! The deadline of a call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::time::{SharedClock, deadline_in};

/// A point in the time of a clock.
#[derive(Clone, Debug)]
pub(super) struct Deadline {
    clock: SharedClock,
    at: Duration,
}

impl Deadline {
    /// The moment `after` from now.
    pub(super) fn after(clock: &SharedClock, after: Duration) -> Self {
        Self { clock: Arc::clone(clock), at: clock.monotonic().saturating_add(after) }
    }

    /// Time left; zero when the moment has passed.
    pub(super) fn left(&self) -> Duration {
        self.at.saturating_sub(self.clock.monotonic())
    }

    /// The moment in real time, for a wait for another thread.
    pub(super) fn instant(&self) -> Instant {
        deadline_in(self.left())
    }
}
