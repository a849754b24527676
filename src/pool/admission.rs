//! Admission of tasks: whether a task is accepted, its number, and when nothing is left to start.

use std::array;
use std::time::Duration;

use crossbeam_utils::CachePadded;

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::thread_slot;
use crate::time::Clock;

/// Counters over which the admitting threads are spread, so that two threads seldom write to one.
#[cfg(not(all(test, gristmill_model)))]
pub(super) const STRIPES: usize = 8;
/// A model has few threads, and each counter costs it time.
#[cfg(all(test, gristmill_model))]
pub(super) const STRIPES: usize = 1;
/// Of each stripe, this many tasks are measured at first, then one in this many and the first in
/// each tick of the coarse clock.
const MEASURED: u64 = 64;

/// The stripe of this thread.
#[inline]
pub(super) fn stripe() -> usize {
    thread_slot::number() % STRIPES
}

/// Counts tasks in and out. The counts only grow.
///
/// A task that is counted in and then finds the seal is counted out again as refused. "Sealed and
/// nothing pending" is final once it is seen: see [`Self::is_finished`].
///
/// `SeqCst` throughout, apart from `measured_at`: `admit` writes its count and then reads the seal,
/// and the sealing thread writes the seal and then reads the counts. With weaker orderings both
/// could miss the other's write.
pub(super) struct Admission {
    stripes: [CachePadded<Stripe>; STRIPES],
    /// Tasks that were counted in and will not start, because they were cancelled or refused.
    withdrawn: CachePadded<AtomicU64>,
    sealed: AtomicBool,
    cancelling: AtomicBool,
}

struct Stripe {
    admitted: AtomicU64,
    /// Coarse nanoseconds at which a task was last measured. Relaxed: if two threads of a stripe
    /// both measure, no harm is done.
    measured_at: AtomicU64,
}

/// What a task gets when it is counted in. Two words, so that it is returned in registers.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    /// The task's number and, in the two highest bits, the flags.
    word: u64,
    /// Monotonic nanoseconds at submission, exact if the task is measured.
    pub(super) submitted: u64,
}

impl Ticket {
    const REFUSED: u64 = 1 << 63;
    const MEASURED: u64 = 1 << 62;

    /// The task's number.
    pub(super) const fn id(self) -> u64 {
        self.word & !(Self::REFUSED | Self::MEASURED)
    }

    /// Whether the task is accepted. If not, the caller must withdraw it.
    pub(super) const fn is_accepted(self) -> bool {
        self.word & Self::REFUSED == 0
    }

    /// Whether the task's times are to be measured.
    pub(super) const fn is_measured(self) -> bool {
        self.word & Self::MEASURED != 0
    }
}

impl Admission {
    pub(super) fn new() -> Self {
        Self {
            stripes: array::from_fn(|_| {
                CachePadded::new(Stripe {
                    admitted: AtomicU64::new(0),
                    measured_at: AtomicU64::new(u64::MAX),
                })
            }),
            withdrawn: CachePadded::new(AtomicU64::new(0)),
            sealed: AtomicBool::new(false),
            cancelling: AtomicBool::new(false),
        }
    }

    /// Counts a task in, with one write to a counter that no other thread writes to as long as
    /// there are no more threads than stripes.
    #[inline]
    pub(super) fn admit(&self, clock: &dyn Clock) -> Ticket {
        let index = stripe();
        let stripe = &self.stripes[index];
        // Before the seal is read: either this read sees the seal, or `is_finished` sees this
        // count.
        let number = stripe.admitted.fetch_add(1, Ordering::SeqCst);
        let refused = self.sealed.load(Ordering::SeqCst);
        let coarse = nanos(clock.coarse());
        let measured = number < MEASURED
            || number.is_multiple_of(MEASURED)
            || stripe.measured_at.load(Ordering::Relaxed) != coarse;
        let mut submitted = coarse;
        if measured {
            stripe.measured_at.store(coarse, Ordering::Relaxed);
            submitted = nanos(clock.monotonic());
        }
        let flags = u64::from(refused) << 63 | u64::from(measured) << 62;
        Ticket { word: (number * STRIPES as u64 + index as u64 + 1) | flags, submitted }
    }

    /// Counts out a task that will not start.
    pub(super) fn withdraw(&self) {
        self.withdrawn.fetch_add(1, Ordering::SeqCst);
    }

    /// Refuses tasks from now on. With `cancel`, queued tasks are cancelled rather than run.
    pub(super) fn seal(&self, cancel: bool) {
        if cancel {
            self.cancelling.store(true, Ordering::SeqCst);
        }
        self.sealed.store(true, Ordering::SeqCst);
    }

    #[inline]
    pub(super) fn is_cancelling(&self) -> bool {
        self.cancelling.load(Ordering::SeqCst)
    }

    #[inline]
    pub(super) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::SeqCst)
    }

    /// Whether the pool is sealed and nothing is left to start, for good.
    ///
    /// A task that is counted out was counted in before, and the counts out (with `started`) are
    /// read first. So if both sums are equal, nothing was pending at some moment between the two
    /// readings. The counts in are read by adding zero: a task that is counted in later follows
    /// that write, and so sees the seal, which was read before.
    pub(super) fn is_finished(&self, started: impl FnOnce() -> u64) -> bool {
        self.is_sealed()
            && self.pending_by(started, |admitted| admitted.fetch_add(0, Ordering::SeqCst)) == 0
    }

    /// Tasks counted in and not out.
    pub(super) fn pending(&self, started: impl FnOnce() -> u64) -> u64 {
        self.pending_by(started, |admitted| admitted.load(Ordering::SeqCst))
    }

    fn pending_by(&self, started: impl FnOnce() -> u64, read: impl Fn(&AtomicU64) -> u64) -> u64 {
        let out = started() + self.withdrawn.load(Ordering::SeqCst);
        let admitted = self.stripes.iter().map(|stripe| read(&stripe.admitted));
        admitted.sum::<u64>().saturating_sub(out)
    }
}

/// Nanoseconds of a monotonic reading. Saturates after 584 years.
#[inline]
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(all(test, not(gristmill_model)))]
mod tests {
    use super::*;
    use crate::time::{ManualClock, Timestamp};

    #[test]
    fn a_sealed_pool_is_finished_when_all_that_was_admitted_is_out() {
        let (admission, clock) = (Admission::new(), ManualClock::new(Timestamp(0)));
        let (first, second) = (admission.admit(&*clock), admission.admit(&*clock));
        assert!(first.is_accepted() && second.is_accepted() && first.id() < second.id());
        assert!(!admission.is_finished(|| 2), "not sealed");
        admission.seal(false);
        assert_eq!(admission.pending(|| 0), 2);
        assert!(!admission.admit(&*clock).is_accepted());
        admission.withdraw();
        assert!(!admission.is_finished(|| 1));
        assert!(admission.is_finished(|| 2));
    }

    #[test]
    fn the_first_tasks_are_measured_then_some_and_one_in_each_tick() {
        let (admission, clock) = (Admission::new(), ManualClock::new(Timestamp(0)));
        let measured = |tasks: u64| {
            (0..tasks).filter(|_| admission.admit(&*clock).is_measured()).count() as u64
        };
        assert_eq!(measured(MEASURED), MEASURED);
        assert_eq!(measured(10 * MEASURED + 1), 11);
        clock.advance(Duration::from_millis(4));
        assert_eq!(measured(MEASURED), 2);
    }
}
