//! The word that decides whether a task is accepted and when workers may end.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

const SEALED: u64 = 1 << 63;

/// Counts the accepted tasks that neither started nor were cancelled, and whether more may come.
///
/// One word, so that "sealed and nothing pending" is one value that, once reached for good, admits
/// no task: a later `admit` sees the seal bit, and takes its count back.
#[derive(Debug, Default)]
pub(super) struct Seal {
    word: AtomicU64,
    cancelling: AtomicBool,
}

impl Seal {
    /// Counts a task in unless the pool is sealed. On `false` the caller must call [`Self::settle`]
    /// for the count that was taken for a moment.
    #[must_use]
    pub(super) fn admit(&self) -> bool {
        self.word.fetch_add(1, Ordering::SeqCst) & SEALED == 0
    }

    /// Counts a task out. `true` if it was the last one of a sealed pool: the caller wakes all
    /// workers, for they may end.
    #[must_use]
    pub(super) fn settle(&self) -> bool {
        self.word.fetch_sub(1, Ordering::SeqCst) == SEALED | 1
    }

    /// Admits nothing from now on; with `cancel`, what is queued is cancelled rather than run.
    pub(super) fn close(&self, cancel: bool) {
        if cancel {
            self.cancelling.store(true, Ordering::SeqCst);
        }
        self.word.fetch_or(SEALED, Ordering::SeqCst);
    }

    pub(super) fn is_cancelling(&self) -> bool {
        self.cancelling.load(Ordering::SeqCst)
    }

    pub(super) fn is_sealed(&self) -> bool {
        self.word.load(Ordering::SeqCst) & SEALED != 0
    }

    /// Sealed and nothing left to start.
    pub(super) fn is_finished(&self) -> bool {
        self.word.load(Ordering::SeqCst) == SEALED
    }

    pub(super) fn pending(&self) -> u64 {
        self.word.load(Ordering::SeqCst) & !SEALED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_task_of_a_sealed_pool_finishes_it() {
        let seal = Seal::default();
        assert!(seal.admit() && seal.admit());
        assert!(!seal.settle());
        seal.close(false);
        assert!(!seal.admit());
        assert!(!seal.settle() && !seal.is_finished());
        assert_eq!(seal.pending(), 1);
        assert!(seal.settle() && seal.is_finished());
        assert!(!seal.admit());
        assert!(seal.settle() && seal.is_finished());
    }
}
