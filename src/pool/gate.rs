//! Caps on how many tasks of a sort run at a time.

use super::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The cap of a gate that lets everybody in and does not count.
const UNLIMITED: usize = usize::MAX;

/// A cap that never makes anybody wait: what finds it closed is left in its queue.
///
/// All operations are `SeqCst`: who opens a gate and then looks for sleepers must not miss one that
/// found it closed and then went to sleep (see the README of this folder).
pub(super) struct Gate {
    cap: AtomicUsize,
    /// Permits beyond the cap, for tasks that hold theirs without using it.
    extra: AtomicUsize,
    used: AtomicUsize,
    /// How often one was left: a sign that those inside get on. A hint: relaxed.
    left: AtomicU64,
}

/// What came of trying to enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Counted in: leave once.
    Counted,
    /// The gate has no cap: nothing to leave.
    Free,
    Closed,
}

impl Gate {
    pub(super) fn new(cap: usize) -> Self {
        let new = AtomicUsize::new;
        Self { cap: new(cap), extra: new(0), used: new(0), left: AtomicU64::new(0) }
    }

    pub(super) fn unlimited() -> Self {
        Self::new(UNLIMITED)
    }

    #[inline]
    fn limit(&self) -> usize {
        let cap = self.cap.load(Ordering::SeqCst);
        if cap == UNLIMITED { cap } else { cap.saturating_add(self.extra.load(Ordering::SeqCst)) }
    }

    /// Whether `try_enter` would succeed now.
    #[inline]
    pub(super) fn is_open(&self) -> bool {
        let limit = self.limit();
        limit == UNLIMITED || self.used.load(Ordering::SeqCst) < limit
    }

    #[inline]
    pub(super) fn try_enter(&self) -> Entry {
        let limit = self.limit();
        if limit == UNLIMITED {
            return Entry::Free;
        }
        let entered = self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
            (used < limit).then_some(used + 1)
        });
        if entered.is_ok() { Entry::Counted } else { Entry::Closed }
    }

    /// Enters even above the cap: for a task that left while it waited and goes on now.
    pub(super) fn re_enter(&self) {
        self.used.fetch_add(1, Ordering::SeqCst);
    }

    /// The caller must notify the crew afterwards: a task may have become eligible.
    pub(super) fn leave(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
        self.used.fetch_sub(1, Ordering::SeqCst);
    }

    /// The caller must notify the crew afterwards, as for the next two.
    pub(super) fn set_cap(&self, cap: usize) {
        self.cap.store(cap, Ordering::SeqCst);
    }

    pub(super) fn lend_extra(&self) {
        self.extra.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn take_back_extra(&self) {
        self.extra.store(0, Ordering::SeqCst);
    }

    /// How often the gate was left.
    pub(super) fn left(&self) -> u64 {
        self.left.load(Ordering::Relaxed)
    }

    /// Permits in use now.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }
}

/// Which gates a running task was counted in at: bit 0 for the one of CPU tasks, the next ones for
/// those of the levels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed(u8);

impl Passed {
    const CPU: u8 = 1;

    /// Through the gate of a level.
    pub(super) const fn level(level: usize) -> Self {
        Self(Self::CPU << (level + 1))
    }

    /// Through the gate of CPU tasks too.
    pub(super) const fn and_cpu(self) -> Self {
        Self(self.0 | Self::CPU)
    }

    pub(super) const fn has_cpu(self) -> bool {
        self.0 & Self::CPU != 0
    }

    pub(super) const fn has_level(self, level: usize) -> bool {
        self.0 & Self::level(level).0 != 0
    }

    pub(super) const fn any(self) -> bool {
        self.0 != 0
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
