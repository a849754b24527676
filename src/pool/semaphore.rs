//! Permits that limit concurrency, granted by priority.

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

/// A number of permits, shared by all clones.
///
/// Waiters are served by priority, and by arrival within a priority. A permit that is returned goes
/// to the first waiter, which no later one can overtake.
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
    permits: Arc<Mutex<Permits>>,
}

/// The permits and the threads that wait for one. Outside the lock, a thread waits only if
/// `available <= 0`.
struct Permits {
    total: usize,
    /// Below zero while more permits are in use than `total`, which was lowered.
    available: isize,
    waiters: BTreeMap<(Priority, u64), Waiter>,
    next_arrival: u64,
}

/// Becomes `true`, under the lock of the permits, when the waiter has been granted one.
type Waiter = Waitable<bool>;

impl Semaphore {
    /// A semaphore with `permits` permits. With zero, threads wait until
    /// [`set_permits`](Self::set_permits) raises the number. Numbers above `isize::MAX` count as
    /// that.
    pub fn new(permits: usize) -> Self {
        let permits = Permits {
            total: permits,
            available: signed(permits),
            waiters: BTreeMap::new(),
            next_arrival: 0,
        };
        Self { permits: Arc::new(Mutex::new(permits)) }
    }

    /// Takes a permit. Waits for one at most `timeout`, and not after `cancel` was cancelled.
    ///
    /// Blocks the calling thread. If that is a pool's worker, it stays occupied while it waits.
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
            let mut permits = self.permits.lock();
            if permits.available > 0 {
                permits.available -= 1;
                return Ok(self.permit());
            }
            let (waiter, key) = (Waiter::new(false), (priority, permits.next_arrival));
            permits.next_arrival += 1;
            permits.waiters.insert(key, waiter.clone());
            (waiter, key)
        };
        let outcome = waiter.wait(deadline_in(timeout), cancel, |granted| granted.then_some(()));
        let Err(error) = outcome else { return Ok(self.permit()) };
        // A waiter that is no longer in the map was granted its permit after its wait had ended.
        let granted = self.permits.lock().waiters.remove(&key).is_none();
        match error {
            WaitError::TimedOut if granted => Ok(self.permit()),
            WaitError::TimedOut => Err(SemaphoreError::TimedOut),
            WaitError::Cancelled => {
                // The permit's destructor passes it on.
                drop(granted.then(|| self.permit()));
                Err(SemaphoreError::Cancelled)
            }
        }
    }

    /// Takes a permit if one is free now.
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut permits = self.permits.lock();
        if permits.available <= 0 {
            return None;
        }
        permits.available -= 1;
        Some(self.permit())
    }

    /// Changes the number of permits. Those in use stay valid; if the number was lowered, none is
    /// granted until enough were returned.
    pub fn set_permits(&self, permits: usize) {
        let mut current = self.permits.lock();
        current.available += signed(permits) - signed(current.total);
        current.total = permits;
        current.grant();
    }

    /// How many permits are free now.
    pub fn available(&self) -> usize {
        usize::try_from(self.permits.lock().available).unwrap_or(0)
    }

    /// How many threads wait for a permit now.
    pub fn waiting(&self) -> usize {
        self.permits.lock().waiters.len()
    }

    fn permit(&self) -> Permit {
        Permit { permits: Arc::clone(&self.permits) }
    }
}

/// Numbers above `isize::MAX` mean "no limit" and are cut to it.
fn signed(permits: usize) -> isize {
    isize::try_from(permits).unwrap_or(isize::MAX)
}

impl Permits {
    /// Grants free permits to the waiters in their order.
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
        let permits = self.permits.lock();
        f.debug_struct("Semaphore")
            .field("permits", &permits.total)
            .field("available", &permits.available)
            .field("waiting", &permits.waiters.len())
            .finish()
    }
}

/// A permit of a [`Semaphore`]. Dropping it returns it, and the next waiter gets it.
#[must_use = "dropping the permit returns it"]
pub struct Permit {
    permits: Arc<Mutex<Permits>>,
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut permits = self.permits.lock();
        permits.available += 1;
        permits.grant();
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
