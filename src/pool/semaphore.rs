//! Permits that limit concurrency, handed out by priority.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::error::SemaphoreError;
use super::priority::Priority;
use super::sync::{Condvar, Mutex};
use crate::cancel::CancelToken;

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
    waiters: BTreeMap<(Priority, u64), Arc<Waiter>>,
    next_arrival: u64,
}

struct Waiter {
    verdict: Mutex<Verdict>,
    changed: Condvar,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Waiting,
    Granted,
    Cancelled,
}

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
        let waiter =
            Arc::new(Waiter { verdict: Mutex::new(Verdict::Waiting), changed: Condvar::new() });
        let key = {
            let mut state = self.inner.state.lock();
            if state.available > 0 {
                state.available -= 1;
                return Ok(self.permit());
            }
            let key = (priority, state.next_arrival);
            state.next_arrival += 1;
            state.waiters.insert(key, Arc::clone(&waiter));
            key
        };
        let cancelled = Arc::clone(&waiter);
        let guard = cancel.on_cancel(move || {
            cancelled.decide(Verdict::Cancelled);
        });
        let verdict = waiter.wait(timeout);
        drop(guard);
        if verdict == Verdict::Granted {
            return Ok(self.permit());
        }
        // Whoever grants removes the waiter under this lock and decides before it lets go, so a
        // waiter that is gone from the map either has its permit or gave it back.
        if self.inner.state.lock().waiters.remove(&key).is_none()
            && *waiter.verdict.lock() == Verdict::Granted
        {
            return Ok(self.permit());
        }
        Err(match verdict {
            Verdict::Cancelled => SemaphoreError::Cancelled,
            Verdict::Waiting | Verdict::Granted => SemaphoreError::TimedOut,
        })
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
            if waiter.decide(Verdict::Granted) == Verdict::Granted {
                self.available -= 1;
            }
        }
    }
}

impl Waiter {
    /// Sets the verdict unless one was reached before; gives the one that stands.
    fn decide(&self, verdict: Verdict) -> Verdict {
        let mut current = self.verdict.lock();
        if *current == Verdict::Waiting {
            *current = verdict;
            self.changed.notify_all();
        }
        *current
    }

    fn wait(&self, timeout: Duration) -> Verdict {
        let deadline = Instant::now().checked_add(timeout);
        let mut verdict = self.verdict.lock();
        while *verdict == Verdict::Waiting {
            match deadline {
                None => self.changed.wait(&mut verdict),
                Some(at) => {
                    if self.changed.wait_until(&mut verdict, at).timed_out() {
                        break;
                    }
                }
            }
        }
        *verdict
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
