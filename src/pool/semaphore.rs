//! Permits that limit concurrency, handed out by priority.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::SemaphoreError;
use super::priority::Priority;
use crate::cancel::CancelToken;
use crate::cancel::wait::{WaitError, Waitable};
use crate::sync::Mutex;
use crate::time::deadline_in;

/// A number of permits shared by all clones. Waiters are served by priority, equals in order of
/// arrival; a freed permit is handed to the first waiter, so nobody overtakes it.
///
/// ```
/// use gristmill::pool::Semaphore;
///
/// let semaphore = Semaphore::new(1);
/// let permit = semaphore.try_acquire();
/// assert!(permit.is_some() && semaphore.try_acquire().is_none());
/// drop(permit);
/// assert!(semaphore.try_acquire().is_some());
/// ```
#[derive(Clone)]
pub struct Semaphore {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
}

/// Invariant outside the lock: if somebody waits, `available <= 0`.
struct State {
    total: usize,
    /// Negative while more permits are out than `total` allows (after a shrink).
    available: isize,
    waiters: BTreeMap<(Priority, u64), Waiter>,
    next_arrival: u64,
}

/// Set, under the lock of the state, when the waiter has its permit.
type Waiter = Waitable<bool>;

impl Semaphore {
    /// A semaphore with `permits` permits; with zero, everybody waits until [`set_permits`].
    ///
    /// [`set_permits`]: Self::set_permits
    pub fn new(permits: usize) -> Self {
        let state = State {
            total: permits,
            available: signed(permits),
            waiters: BTreeMap::new(),
            next_arrival: 0,
        };
        Self { inner: Arc::new(Inner { state: Mutex::new(state) }) }
    }

    /// Takes a permit, waiting at most `timeout` and no longer than until `cancel` is cancelled.
    ///
    /// Blocks the calling thread; on a pool's worker that worker is taken while it waits.
    pub fn acquire(
        &self,
        priority: Priority,
        timeout: Duration,
        cancel: &CancelToken,
    ) -> Result<Permit, SemaphoreError> {
        if cancel.is_cancelled() {
            return Err(SemaphoreError::Cancelled);
        }
        let (waiter, key) = {
            let mut state = self.inner.state.lock();
            if state.available > 0 {
                state.available -= 1;
                return Ok(self.permit());
            }
            let (waiter, key) = (Waiter::new(false), (priority, state.next_arrival));
            state.next_arrival += 1;
            state.waiters.insert(key, waiter.clone());
            (waiter, key)
        };
        let waited = waiter.wait(deadline_in(timeout), cancel, |granted| granted.then_some(()));
        let Err(error) = waited else { return Ok(self.permit()) };
        // A waiter that stands in line no more was granted its permit after it had given up.
        let granted = self.inner.state.lock().waiters.remove(&key).is_none();
        match error {
            WaitError::TimedOut if granted => Ok(self.permit()),
            WaitError::TimedOut => Err(SemaphoreError::TimedOut),
            WaitError::Cancelled => {
                // Passed on.
                drop(granted.then(|| self.permit()));
                Err(SemaphoreError::Cancelled)
            }
        }
    }

    /// Takes a permit if one is free now.
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut state = self.inner.state.lock();
        if state.available <= 0 {
            return None;
        }
        state.available -= 1;
        Some(self.permit())
    }

    /// Changes the number of permits. Permits that are out stay valid; after a shrink, none is
    /// given until enough came back.
    pub fn set_permits(&self, permits: usize) {
        let mut state = self.inner.state.lock();
        state.available += signed(permits) - signed(state.total);
        state.total = permits;
        state.grant();
    }

    /// Permits free now.
    pub fn available(&self) -> usize {
        usize::try_from(self.inner.state.lock().available).unwrap_or(0)
    }

    /// How many wait for a permit now.
    pub fn waiting(&self) -> usize {
        self.inner.state.lock().waiters.len()
    }

    fn permit(&self) -> Permit {
        Permit { inner: Arc::clone(&self.inner) }
    }
}

/// Counts above `isize::MAX` mean "no limit" and are cut to it.
fn signed(permits: usize) -> isize {
    isize::try_from(permits).unwrap_or(isize::MAX)
}

impl State {
    /// Hands free permits to waiters in order.
    fn grant(&mut self) {
        while self.available > 0 {
            let Some((_, waiter)) = self.waiters.pop_first() else { return };
            self.available -= 1;
            waiter.update(|granted| *granted = true);
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.inner.state.lock();
        f.debug_struct("Semaphore")
            .field("permits", &state.total)
            .field("available", &state.available)
            .field("waiting", &state.waiters.len())
            .finish()
    }
}

/// The right to go on; dropping it gives it to the next waiter.
#[must_use = "dropping the permit gives it back"]
pub struct Permit {
    inner: Arc<Inner>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.inner.state.lock();
        state.available += 1;
        state.grant();
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

#[cfg(all(test, not(gristmill_model)))]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[test]
    fn waiters_are_served_by_priority_then_by_arrival() {
        let semaphore = Semaphore::new(1);
        let held = semaphore.try_acquire().unwrap();
        let (sender, receiver) = mpsc::channel();
        let order = [Priority::Low, Priority::Normal, Priority::Urgent, Priority::Normal];
        let threads: Vec<_> = order
            .into_iter()
            .enumerate()
            .map(|(index, priority)| {
                let (semaphore, sender) = (semaphore.clone(), sender.clone());
                let before = semaphore.waiting();
                let probe = semaphore.clone();
                let thread = thread::spawn(move || {
                    let permit = semaphore.acquire(priority, LONG, &CancelToken::new()).unwrap();
                    sender.send(index).unwrap();
                    drop(permit);
                });
                while probe.waiting() == before {
                    thread::park_timeout(Duration::from_millis(1));
                }
                thread
            })
            .collect();
        drop(held);
        let served: Vec<usize> = (0..order.len()).map(|_| receiver.recv().unwrap()).collect();
        assert_eq!(served, [2, 1, 3, 0]);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(semaphore.available(), 1);
    }

    #[test]
    fn time_and_cancellation_end_the_wait_and_leave_nothing_behind() {
        let semaphore = Semaphore::new(0);
        let token = CancelToken::new();
        let late = semaphore.acquire(Priority::High, Duration::from_millis(5), &token);
        assert_eq!(late.unwrap_err(), SemaphoreError::TimedOut);
        let waiting = {
            let (semaphore, token) = (semaphore.clone(), token.clone());
            thread::spawn(move || semaphore.acquire(Priority::High, LONG, &token).map(drop))
        };
        while semaphore.waiting() == 0 {
            thread::park_timeout(Duration::from_millis(1));
        }
        token.cancel();
        assert_eq!(waiting.join().unwrap(), Err(SemaphoreError::Cancelled));
        assert_eq!(semaphore.waiting(), 0);
        let refused = semaphore.acquire(Priority::High, LONG, &token);
        assert_eq!(refused.unwrap_err(), SemaphoreError::Cancelled);
        semaphore.set_permits(1);
        assert!(semaphore.try_acquire().is_some());
    }

    #[test]
    fn a_permit_that_comes_back_while_its_waiter_is_cancelled_goes_to_the_next() {
        let semaphore = Semaphore::new(1);
        for _ in 0..500 {
            let (gone, patient) = (CancelToken::new(), CancelToken::new());
            let held = semaphore.try_acquire().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| semaphore.acquire(Priority::High, LONG, &gone).map(drop));
                let waits = scope.spawn(|| semaphore.acquire(Priority::Low, LONG, &patient));
                scope.spawn(|| gone.cancel());
                drop(held);
                assert!(waits.join().unwrap().is_ok());
            });
            assert_eq!((semaphore.available(), semaphore.waiting()), (1, 0));
        }
    }

    #[test]
    fn shrinking_takes_effect_as_permits_come_back_and_growing_at_once() {
        let semaphore = Semaphore::new(2);
        let (first, second) = (semaphore.try_acquire().unwrap(), semaphore.try_acquire().unwrap());
        semaphore.set_permits(1);
        drop(first);
        assert!(semaphore.try_acquire().is_none());
        let waiting = {
            let semaphore = semaphore.clone();
            thread::spawn(move || semaphore.acquire(Priority::Low, LONG, &CancelToken::new()))
        };
        while semaphore.waiting() == 0 {
            thread::park_timeout(Duration::from_millis(1));
        }
        semaphore.set_permits(2);
        let third = waiting.join().unwrap().unwrap();
        drop((second, third));
        assert_eq!(semaphore.available(), 2);
    }
}
