//! The time that a store goes by: the wall clock, made monotonic.
//!
//! A clock that is set back, or was wrong before, must not bring back expired keys, nor keep others
//! for ever. So the time is the latest of: the wall clock, the time of the last opening plus the
//! time that has passed since, and the latest time returned.
//!
//! Checkpoints store the time. A key that expired between the last checkpoint and a kill may become
//! visible again, until it expires by this clock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::time::SharedClock;

/// A clock made monotonic, over restarts too.
#[derive(Debug)]
pub(super) struct StoreClock {
    clock: SharedClock,
    /// Wall clock, in milliseconds since 1970, and monotonic clock at the opening.
    opened: (u64, Duration),
    latest: AtomicU64,
}

impl StoreClock {
    /// A time that goes on from `known`, in milliseconds since 1970.
    pub(super) fn new(clock: SharedClock, known: u64) -> Self {
        let opened = (clock.wall().as_millis().max(known), clock.monotonic());
        Self { clock, opened, latest: AtomicU64::new(opened.0) }
    }

    /// Milliseconds since 1970.
    pub(super) fn now(&self) -> u64 {
        let passed = self.clock.monotonic().saturating_sub(self.opened.1).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        let now = self.clock.wall().as_millis().max(self.opened.0.saturating_add(passed));
        // Relaxed: it orders nothing but itself.
        self.latest.fetch_max(now, Ordering::Relaxed).max(now)
    }

    /// The time `ttl` from now, at least a millisecond ahead; 0, for never, if it overflows.
    pub(super) fn after(&self, ttl: Duration) -> u64 {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX).max(1);
        self.now().checked_add(ttl).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{ManualClock, Timestamp};

    #[test]
    fn a_clock_set_back_neither_turns_the_time_back_nor_stops_it() {
        let clock = ManualClock::new(Timestamp(1_000_000));
        let time = StoreClock::new(clock.clone(), 0);
        assert_eq!(time.now(), 1_000_000);
        clock.set_wall(Timestamp(5));
        assert_eq!(time.now(), 1_000_000);
        clock.advance(Duration::from_millis(70));
        assert_eq!(time.now(), 1_000_070);
        clock.set_wall(Timestamp(2_000_000));
        assert_eq!(time.now(), 2_000_000);
        // A new opening with the clock wrong goes on from what was written down.
        clock.set_wall(Timestamp(5));
        let time = StoreClock::new(clock, 2_000_000);
        assert_eq!(time.after(Duration::from_secs(1)), 2_001_000);
        assert_eq!(time.after(Duration::MAX), 0);
    }
}
