//! A cap on how many tasks of one sort run at a time.

use crate::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The cap of a gate that is always open and does not count.
const UNLIMITED: usize = usize::MAX;

/// A cap at which no thread waits: a task whose gate is closed stays in its queue.
///
/// All operations are `SeqCst`: they pair with the fences of the sleep protocol. A thread that
/// opens a gate and then looks for sleepers must not miss a worker that found the gate closed and
/// then went to sleep (README, "Why no wake-up is lost").
pub(in crate::pool) struct Gate {
    cap: AtomicUsize,
    /// Permits beyond the cap, lent while tasks hold theirs without computing (`stall`).
    extra: AtomicUsize,
    used: AtomicUsize,
    /// How often the gate was left, which shows that the tasks inside make progress. Relaxed: it is
    /// only compared with its own earlier value.
    left: AtomicU64,
}

/// The result of trying to enter a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::pool) enum Entry {
    /// Counted in; must leave once.
    Counted,
    /// The gate has no cap: nothing to leave.
    Free,
    Closed,
}

impl Gate {
    pub(in crate::pool) fn new(cap: usize) -> Self {
        let new = AtomicUsize::new;
        Self { cap: new(cap), extra: new(0), used: new(0), left: AtomicU64::new(0) }
    }

    pub(in crate::pool) fn unlimited() -> Self {
        Self::new(UNLIMITED)
    }

    #[inline]
    fn limit(&self) -> usize {
        let cap = self.cap.load(Ordering::SeqCst);
        if cap == UNLIMITED { cap } else { cap.saturating_add(self.extra.load(Ordering::SeqCst)) }
    }

    /// Whether `try_enter` would succeed now.
    #[inline]
    pub(in crate::pool) fn is_open(&self) -> bool {
        let limit = self.limit();
        limit == UNLIMITED || self.used.load(Ordering::SeqCst) < limit
    }

    #[inline]
    pub(in crate::pool) fn try_enter(&self) -> Entry {
        let limit = self.limit();
        if limit == UNLIMITED {
            return Entry::Free;
        }
        let entered = self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
            (used < limit).then_some(used + 1)
        });
        if entered.is_ok() { Entry::Counted } else { Entry::Closed }
    }

    /// Enters even above the cap: for a task that left while it waited and now goes on.
    pub(in crate::pool) fn re_enter(&self) {
        self.used.fetch_add(1, Ordering::SeqCst);
    }

    /// The caller must notify the workers afterwards: a task may have become eligible.
    pub(in crate::pool) fn leave(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
        self.used.fetch_sub(1, Ordering::SeqCst);
    }

    /// The caller must notify the workers afterwards; likewise for the next two.
    pub(in crate::pool) fn set_cap(&self, cap: usize) {
        self.cap.store(cap, Ordering::SeqCst);
    }

    pub(in crate::pool) fn lend_extra(&self) {
        self.extra.fetch_add(1, Ordering::SeqCst);
    }

    pub(in crate::pool) fn take_back_extra(&self) {
        self.extra.store(0, Ordering::SeqCst);
    }

    /// How often the gate was left.
    pub(in crate::pool) fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Permits in use now.
    pub(in crate::pool) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }
}

/// The gates at which a running task was counted in: bit 0 for the gate of CPU tasks, the next bits
/// for those of the levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::pool) struct GateSet(u8);

impl GateSet {
    const CPU: u8 = 1;

    /// The gate of a level.
    pub(in crate::pool) const fn level(level: usize) -> Self {
        Self(Self::CPU << (level + 1))
    }

    /// These and the gate of CPU tasks.
    pub(in crate::pool) const fn and_cpu(self) -> Self {
        Self(self.0 | Self::CPU)
    }

    pub(in crate::pool) const fn has_cpu(self) -> bool {
        self.0 & Self::CPU != 0
    }

    pub(in crate::pool) const fn has_level(self, level: usize) -> bool {
        self.0 & Self::level(level).0 != 0
    }

    pub(in crate::pool) const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(all(test, not(gristmill_model)))]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_in_no_more_than_its_cap() {
        let gate = Gate::new(2);
        let (counted, closed) = (Entry::Counted, Entry::Closed);
        assert_eq!(
            [gate.try_enter(), gate.try_enter(), gate.try_enter()],
            [counted, counted, closed]
        );
        assert!(!gate.is_open());
        gate.leave();
        assert!(gate.is_open());
        gate.re_enter();
        gate.re_enter();
        gate.leave();
        assert!(!gate.is_open());
        gate.set_cap(3);
        assert_eq!([gate.try_enter(), gate.try_enter()], [counted, closed]);
        gate.lend_extra();
        assert_eq!([gate.try_enter(), gate.try_enter()], [counted, closed]);
        gate.take_back_extra();
        gate.leave();
        assert!(!gate.is_open());
    }

    #[test]
    fn a_gate_without_a_cap_counts_nobody() {
        let gate = Gate::unlimited();
        assert_eq!((gate.try_enter(), gate.used()), (Entry::Free, 0));
        gate.set_cap(1);
        assert_eq!((gate.try_enter(), gate.try_enter()), (Entry::Counted, Entry::Closed));
    }
}
