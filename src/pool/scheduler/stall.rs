//! The decision to lend permits when CPU tasks make no progress.
//!
//! A task that says it computes, but waits, keeps its permit. If a CPU task is queued for want of a
//! permit and no permit comes back for a while, one more is lent, and then another at growing
//! intervals. They are taken back when no CPU task is queued any more.
//!
//! The timekeeper looks, and only while such a task is queued, so an idle pool is not woken for it.

use std::time::Duration;

use crate::sync::Mutex;

/// How long no permit may come back before the first one is lent.
pub(super) const FIRST_INTERVAL: Duration = Duration::from_millis(100);
/// The interval doubles with each permit lent, up to this.
pub(super) const LONGEST_INTERVAL: Duration = Duration::from_millis(500);

pub(super) struct Stalls {
    watch: Mutex<Option<Watch>>,
}

#[derive(Clone, Copy)]
struct Watch {
    progress: u64,
    interval: Duration,
}

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decision {
    /// Lend one more permit.
    pub(super) lend: bool,
    /// No CPU task is queued: take back what was lent, then look once more for tasks that came
    /// meanwhile.
    pub(super) over: bool,
    /// When to look again.
    pub(super) next: Option<Duration>,
}

impl Stalls {
    pub(super) fn new() -> Self {
        Self { watch: Mutex::new(None) }
    }

    /// Starts to watch and returns the time of the first look; `None` if the watch is on already.
    pub(super) fn begin(&self, now: Duration, progress: impl Fn() -> u64) -> Option<Duration> {
        let mut watch = self.watch.lock();
        if watch.is_some() {
            return None;
        }
        *watch = Some(Watch { progress: progress(), interval: FIRST_INTERVAL });
        Some(now.saturating_add(FIRST_INTERVAL))
    }

    /// `queued`: CPU tasks are queued. `closed`: there is no free permit. `progress`: a number that
    /// changes when a permit comes back.
    pub(super) fn look(
        &self,
        now: Duration,
        queued: bool,
        closed: bool,
        progress: u64,
    ) -> Decision {
        let mut watch = self.watch.lock();
        let Some(current) = *watch else {
            return Decision { lend: false, over: false, next: None };
        };
        if !queued {
            *watch = None;
            return Decision { lend: false, over: true, next: None };
        }
        let lend = closed && progress == current.progress;
        let interval = if lend {
            current.interval.saturating_mul(2).min(LONGEST_INTERVAL)
        } else {
            FIRST_INTERVAL
        };
        *watch = Some(Watch { progress, interval });
        Decision { lend, over: false, next: Some(now.saturating_add(interval)) }
    }
}

#[cfg(all(test, not(gristmill_model)))]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn permits_are_lent_at_growing_intervals_while_nothing_ends() {
        let stalls = Stalls::new();
        let mut now = stalls.begin(millis(0), || 7).unwrap();
        assert_eq!((now, stalls.begin(millis(0), || 7)), (millis(100), None));
        let mut waits = Vec::new();
        for _ in 0..4 {
            let decision = stalls.look(now, true, true, 7);
            assert!(decision.lend && !decision.over);
            let next = decision.next.unwrap();
            waits.push(next.checked_sub(now).unwrap());
            now = next;
        }
        assert_eq!(waits, [millis(200), millis(400), millis(500), millis(500)]);
        let progress = stalls.look(now, true, true, 8);
        assert_eq!((progress.lend, progress.next), (false, Some(now + millis(100))));
        assert!(!stalls.look(now, true, false, 8).lend, "a permit is free");
        let over = Decision { lend: false, over: true, next: None };
        assert_eq!(stalls.look(now, false, false, 8), over);
        assert!(stalls.begin(now, || 8).is_some(), "watches anew");
    }
}
