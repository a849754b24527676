//! A small number for each thread, so that threads can count apart.
//!
//! The numbers are dense: a thread takes the smallest free one when it first asks, and returns it
//! when it ends. No two live threads share one, so a counter indexed by it has one writer at a
//! time. The lock of the list passes what the last owner wrote on to the next.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use parking_lot::Mutex;

/// The number of a thread that is ending and has returned its own. Several threads may have it at a
/// time.
pub(crate) const NONE: usize = usize::MAX;
/// This thread has not asked yet.
const UNKNOWN: usize = usize::MAX - 1;

thread_local! {
    /// Separate from the slot: a constant initializer and no destructor let it be read without a
    /// check.
    static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
    static SLOT: Slot = Slot(FREE.lock().take());
}

static FREE: Mutex<FreeList> = Mutex::new(FreeList { returned: BinaryHeap::new(), next: 0 });

/// The numbers that no thread has: those returned, and `next` and all above it.
struct FreeList {
    returned: BinaryHeap<Reverse<usize>>,
    next: usize,
}

impl FreeList {
    /// Takes the smallest.
    fn take(&mut self) -> usize {
        if let Some(Reverse(number)) = self.returned.pop() {
            return number;
        }
        let number = self.next;
        self.next += 1;
        number
    }

    fn give_back(&mut self, number: usize) {
        self.returned.push(Reverse(number));
    }
}

/// The number of a live thread. Dropped when the thread ends.
struct Slot(usize);

impl Drop for Slot {
    fn drop(&mut self) {
        // Destructors of other thread-local values may still count, and must not use a number that
        // the next thread may have by then.
        NUMBER.set(NONE);
        FREE.lock().give_back(self.0);
    }
}

/// The number of this thread: below the most threads that were ever alive at a time, or [`NONE`].
#[inline]
pub(crate) fn number() -> usize {
    match NUMBER.get() {
        UNKNOWN => take(),
        number => number,
    }
}

#[cold]
fn take() -> usize {
    // Fails only once the slot has been dropped, on a thread that is ending.
    let number = SLOT.try_with(|slot| slot.0).unwrap_or(NONE);
    NUMBER.set(number);
    number
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::{Barrier, mpsc};
    use std::thread;

    use super::*;

    #[test]
    fn a_thread_keeps_its_number_and_no_other_has_it() {
        let (threads, barrier) = (100, Barrier::new(100));
        let mut seen = BTreeSet::new();
        thread::scope(|scope| {
            let all: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let first = number();
                        barrier.wait();
                        assert_eq!(number(), first);
                        first
                    })
                })
                .collect();
            seen.extend(all.into_iter().map(|thread| thread.join().unwrap()));
        });
        assert_eq!(seen.len(), threads);
    }

    #[test]
    fn numbers_are_used_again() {
        let most = (0..5000).map(|_| thread::spawn(number).join().unwrap()).max();
        // Other tests have threads of their own meanwhile, but not thousands.
        assert!(most < Some(2500), "{most:?}");
    }

    #[test]
    fn the_smallest_free_number_is_taken() {
        let mut free = FreeList { returned: BinaryHeap::new(), next: 0 };
        assert_eq!([(); 4].map(|()| free.take()), [0, 1, 2, 3]);
        for number in [1, 3, 0] {
            free.give_back(number);
        }
        assert_eq!([(); 4].map(|()| free.take()), [0, 1, 3, 4]);
    }

    #[test]
    fn a_thread_has_none_once_it_has_returned_its_own() {
        struct Late(mpsc::Sender<usize>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0.send(number()).unwrap();
            }
        }
        thread_local! {
            static BEFORE: Cell<Option<Late>> = const { Cell::new(None) };
            static AFTER: Cell<Option<Late>> = const { Cell::new(None) };
        }
        let (sender, late) = mpsc::channel();
        let own = thread::spawn(move || {
            // One is registered before the slot and one after it, so that one of them is dropped
            // after the slot, in whichever order the platform drops thread-local values.
            BEFORE.set(Some(Late(sender.clone())));
            let own = number();
            AFTER.set(Some(Late(sender)));
            own
        });
        let own = own.join().unwrap();
        let mut seen: Vec<usize> = late.iter().collect();
        seen.sort_unstable();
        assert_eq!(seen, [own, NONE]);
    }
}
