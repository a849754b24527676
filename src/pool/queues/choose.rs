//! The choice of the level that goes next: a pure decision.

use std::time::Duration;

use crate::pool::priority::LEVELS;

/// A level that has been passed over for this long gets one task served, out of turn.
pub(in crate::pool) const OVERDUE_AFTER: Duration = Duration::from_millis(100);

/// What [`choose`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) struct Choice {
    /// The level to serve.
    pub(in crate::pool) level: usize,
    /// Whether it is overdue and goes before a more urgent one.
    pub(in crate::pool) overdue: bool,
}

/// Picks among the levels whose bit is set in `ready` (bit 0 is the most urgent).
///
/// `passed_over[level]` is the time since which a level with tasks has been passed over for more
/// urgent ones. The level that has waited longest goes first if it has waited [`OVERDUE_AFTER`];
/// otherwise the most urgent one does.
pub(in crate::pool) fn choose(
    ready: u8,
    passed_over: &[Option<Duration>; LEVELS],
    now: Duration,
) -> Option<Choice> {
    let is_ready = |level: &usize| ready & (1 << level) != 0;
    let top = (0..LEVELS).find(is_ready)?;
    let overdue = (top + 1..LEVELS)
        .filter(is_ready)
        .filter_map(|level| Some((passed_over[level]?, level)))
        .filter(|(since, _)| now.saturating_sub(*since) >= OVERDUE_AFTER)
        .min();
    Some(match overdue {
        Some((_, level)) => Choice { level, overdue: true },
        None => Choice { level: top, overdue: false },
    })
}

#[cfg(all(test, not(gristmill_model)))]
mod tests {
    use super::*;
    use crate::time::{Clock, ManualClock, Timestamp};

    #[test]
    fn the_most_urgent_level_goes_first_until_another_is_overdue() {
        let clock = ManualClock::new(Timestamp(0));
        clock.advance(Duration::from_secs(1));
        let since = Some(clock.monotonic());
        let passed = [None, None, since, since];
        let plain = |level| Some(Choice { level, overdue: false });
        assert_eq!(choose(0b0000, &passed, clock.monotonic()), None);
        assert_eq!(choose(0b1101, &passed, clock.monotonic()), plain(0));
        clock.advance(OVERDUE_AFTER.saturating_sub(Duration::from_nanos(1)));
        assert_eq!(choose(0b1101, &passed, clock.monotonic()), plain(0));
        clock.advance(Duration::from_nanos(1));
        let overdue = Some(Choice { level: 2, overdue: true });
        assert_eq!(choose(0b1101, &passed, clock.monotonic()), overdue);
        assert_eq!(choose(0b1001, &passed, clock.monotonic()).unwrap().level, 3);
        assert_eq!(choose(0b0100, &passed, clock.monotonic()), plain(2));
        let low_waited_longer = [None, None, since, Some(Duration::ZERO)];
        assert_eq!(choose(0b1111, &low_waited_longer, clock.monotonic()).unwrap().level, 3);
    }
}
