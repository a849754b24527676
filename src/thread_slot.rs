//! A small number for each thread, to keep what threads count apart.
//!
//! The numbers are dense: a thread takes the smallest one that is free when it first asks, and gives
//! it back when it ends. No two threads that live have the same one, so a counter that is indexed by
//! it has one writer at a time. The lock of the list hands what the last owner wrote to the next.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use parking_lot::Mutex;

/// The number of a thread that is ending and has given its own back. Several threads may have it at
/// a time.
pub(crate) const NONE: usize = usize::MAX;
/// This thread has not asked yet.
const UNKNOWN: usize = usize::MAX - 1;

thread_local! {
    /// Apart from the lease: without a destructor and with a constant initializer it is read
    /// without a check.
    static NUMBER: Cell<usize> = const { Cell::new(UNKNOWN) };
    static LEASE: Lease = Lease::take();
}

static FREE: Mutex<Free> = Mutex::new(Free { returned: BinaryHeap::new(), next: 0 });

/// Numbers that no thread has: those given back, and `next` and all above it.
struct Free {
    returned: BinaryHeap<Reverse<usize>>,
    next: usize,
}

struct Lease(usize);

impl Lease {
    fn take() -> Self {
        let mut free = FREE.lock();
        if let Some(Reverse(number)) = free.returned.pop() {
            return Self(number);
        }
        let number = free.next;
        free.next += 1;
        Self(number)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        NUMBER.set(NONE);
        FREE.lock().returned.push(Reverse(self.0));
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
    // A thread that is ending has no lease any more.
    let number = LEASE.try_with(|lease| lease.0).unwrap_or(NONE);
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
    fn an_ending_thread_has_none() {
        struct Late(mpsc::Sender<usize>);
        impl Drop for Late {
            fn drop(&mut self) {
                self.0.send(number()).unwrap();
            }
        }
        thread_local! {
            static LATE: Cell<Option<Late>> = const { Cell::new(None) };
        }
        let (sender, late) = mpsc::channel();
        let own = thread::spawn(move || {
            // Registered before the lease, so dropped after it.
            LATE.set(Some(Late(sender)));
            number()
        });
        let own = own.join().unwrap();
        let last = late.recv().unwrap();
        assert!(last == NONE || last == own, "{last} after {own}");
    }
}
