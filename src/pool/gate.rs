//! Caps on how many tasks of a sort run at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

/// A cap that never makes anybody wait: what finds it closed is left in its queue.
///
/// All operations are `SeqCst`: who opens a gate and then looks for sleepers must not miss one that
/// found it closed and then went to sleep (see the README of this folder).
#[derive(Debug)]
pub(super) struct Gate {
    cap: AtomicUsize,
    used: AtomicUsize,
}

impl Gate {
    pub(super) fn new(cap: usize) -> Self {
        Self { cap: AtomicUsize::new(cap), used: AtomicUsize::new(0) }
    }

    /// Whether `try_enter` would succeed now.
    pub(super) fn is_open(&self) -> bool {
        self.used.load(Ordering::SeqCst) < self.cap.load(Ordering::SeqCst)
    }

    pub(super) fn try_enter(&self) -> bool {
        let cap = self.cap.load(Ordering::SeqCst);
        self.used
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |used| {
                (used < cap).then_some(used + 1)
            })
            .is_ok()
    }

    /// Enters even above the cap: for a task that left while it waited and goes on now.
    pub(super) fn re_enter(&self) {
        self.used.fetch_add(1, Ordering::SeqCst);
    }

    /// The caller must notify the crew afterwards: a task may have become eligible.
    pub(super) fn leave(&self) {
        self.used.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn set_cap(&self, cap: usize) {
        self.cap.store(cap, Ordering::SeqCst);
    }
}

/// Which gates a running task went through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) cpu: bool,
    pub(super) low: bool,
}

impl Passed {
    pub(super) fn any(self) -> bool {
        self.cpu || self.low
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_lets_in_no_more_than_its_cap() {
        let gate = Gate::new(2);
        assert!(gate.try_enter() && gate.try_enter() && !gate.try_enter());
        assert!(!gate.is_open());
        gate.leave();
        assert!(gate.is_open());
        gate.re_enter();
        gate.re_enter();
        gate.leave();
        assert!(!gate.is_open());
        gate.set_cap(3);
        assert!(gate.try_enter() && !gate.try_enter());
    }
}
