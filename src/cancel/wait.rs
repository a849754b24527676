//! State that threads wait for: a mutex and a condition variable that a cancel token also wakes.
//!
//! No wake-up is lost. A change is made under the lock that a waiter holds from its check of the
//! state until it sleeps, and the notification follows the change. A cancellation sets the token's
//! flag first; the callback that the wait has registered then takes the lock before it notifies. So
//! a waiter either sees the flag, or is asleep by the time of the notification.
//!
//! # Locks
//!
//! The state's lock and the token's are never held together. The callback is registered before the
//! state is locked and withdrawn after it is released, and the token runs it with none of its own
//! locks held. Two rules follow for the closures, which do run under the state's lock: they must
//! not wait, and they must not cancel a token that a waiter on the same state was given.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::CancelToken;
use crate::sync::{Condvar, Mutex};

/// Why a wait ended before its condition held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WaitError {
    /// The deadline passed.
    TimedOut,
    /// The token was cancelled.
    Cancelled,
}

/// State that threads wait for; clones share it.
pub(crate) struct Waitable<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    state: Mutex<T>,
    changed: Condvar,
}

impl<T> Waitable<T> {
    pub(crate) fn new(state: T) -> Self {
        Self { inner: Arc::new(Inner { state: Mutex::new(state), changed: Condvar::new() }) }
    }

    /// Changes the state and wakes all waiters.
    pub(crate) fn update<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.inner.state.lock());
        self.inner.changed.notify_all();
        result
    }

    /// Waits until `ready` returns `Some`. It is called at once and after each change. Its result
    /// counts even if the token is cancelled or the deadline has passed by then.
    ///
    /// The wait is in real time: a waiter depends on another thread, whatever clock its caller
    /// counts by.
    pub(crate) fn wait<'a, R>(
        &self,
        deadline: Instant,
        cancel: impl Into<Option<&'a CancelToken>>,
        mut ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Result<R, WaitError>
    where
        T: Send + 'static,
    {
        let cancel = cancel.into();
        // Most waits are over before they begin; these need not register a callback.
        if let Some(result) = ready(&mut self.inner.state.lock()) {
            return Ok(result);
        }
        let _callback = cancel.map(|token| {
            let inner = Arc::clone(&self.inner);
            token.on_cancel(move || {
                drop(inner.state.lock());
                inner.changed.notify_all();
            })
        });
        let mut state = self.inner.state.lock();
        let mut late = false;
        loop {
            if let Some(result) = ready(&mut state) {
                return Ok(result);
            }
            if cancel.is_some_and(CancelToken::is_cancelled) {
                return Err(WaitError::Cancelled);
            }
            if late {
                return Err(WaitError::TimedOut);
            }
            late = self.inner.changed.wait_until(&mut state, deadline).timed_out();
        }
    }
}

impl<T> Clone for Waitable<T> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<T> fmt::Debug for Waitable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waitable").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(not(gristmill_model))]
mod tests {
    use std::sync::Barrier;
    use std::sync::mpsc::{self, Sender};
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Waits with a deadline so far away that a wait which ends by it has lost its wake-up.
    fn wait<'a, T: Send + 'static, R>(
        waitable: &Waitable<T>,
        cancel: impl Into<Option<&'a CancelToken>>,
        ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Result<R, WaitError> {
        let far = Instant::now() + Duration::from_secs(10);
        let result = waitable.wait(far, cancel, ready);
        assert!(Instant::now() < far, "the wake-up was lost");
        result
    }

    /// Tells of each look at the state. After the second look, which follows the registration of
    /// the callback, the lock is free only once the waiter sleeps.
    fn looks(sender: Sender<()>) -> impl FnMut(&mut bool) -> Option<()> {
        move |set| {
            sender.send(()).unwrap();
            set.then_some(())
        }
    }

    #[test]
    fn what_is_ready_is_given_though_cancelled_and_late() {
        let token = CancelToken::new();
        token.cancel();
        let waitable = Waitable::new(7);
        let now = Instant::now();
        assert_eq!(waitable.wait(now, &token, |number| Some(*number)), Ok(7));
        assert_eq!(waitable.wait(now, &token, |_| None::<()>), Err(WaitError::Cancelled));
        assert_eq!(wait(&waitable, &token, |_| None::<()>), Err(WaitError::Cancelled));
        assert_eq!(waitable.wait(now, None, |_| None::<()>), Err(WaitError::TimedOut));
    }

    #[test]
    fn a_change_wakes_every_sleeper() {
        let (waitable, token) = (Waitable::new(false), CancelToken::new());
        let (sender, looked) = mpsc::channel();
        thread::scope(|scope| {
            let waiters: Vec<_> = (0..4)
                .map(|_| {
                    let (waitable, token) = (&waitable, &token);
                    let ready = looks(sender.clone());
                    scope.spawn(move || wait(waitable, token, ready))
                })
                .collect();
            (0..2 * waiters.len()).for_each(|_| looked.recv().unwrap());
            waitable.update(|set| *set = true);
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Ok(()));
            }
        });
    }

    #[test]
    fn a_cancellation_wakes_every_sleeper_of_its_token_and_no_other() {
        let (waitable, token, other) =
            (Waitable::new(false), CancelToken::new(), CancelToken::new());
        let (sender, looked) = mpsc::channel();
        thread::scope(|scope| {
            let (waitable, other) = (&waitable, &other);
            let ready = looks(sender.clone());
            let unmoved = scope.spawn(move || wait(waitable, other, ready));
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    let (ready, child) = (looks(sender.clone()), token.child());
                    scope.spawn(move || wait(waitable, &child, ready))
                })
                .collect();
            (0..8).for_each(|_| looked.recv().unwrap());
            token.cancel();
            for waiter in waiters {
                assert_eq!(waiter.join().unwrap(), Err(WaitError::Cancelled));
            }
            waitable.update(|set| *set = true);
            assert_eq!(unmoved.join().unwrap(), Ok(()));
        });
    }

    #[test]
    fn a_cancellation_between_the_first_look_and_the_registration_is_seen() {
        let (waitable, token) = (Waitable::new(()), CancelToken::new());
        // No callback is registered yet, so the look may cancel.
        let result = wait(&waitable, &token, |()| {
            token.cancel();
            None::<()>
        });
        assert_eq!(result, Err(WaitError::Cancelled));
    }

    #[test]
    fn a_change_between_the_first_look_and_the_registration_is_seen() {
        let (waitable, token) = (Waitable::new(false), CancelToken::new());
        let (changed, mut looked) = (waitable.clone(), false);
        let both = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                both.wait();
                changed.update(|set| *set = true);
            });
            let result = wait(&waitable, &token, |set| {
                if !std::mem::replace(&mut looked, true) {
                    both.wait();
                }
                set.then_some(())
            });
            assert_eq!(result, Ok(()));
        });
    }

    /// Runs `end` on another thread in each round, at any moment of that round's `wait`. A round
    /// that fails drops the channel, so that the other thread ends with this one.
    fn race<T: Send + Sync>(start: impl Fn() -> T, end: impl Fn(&T) + Sync, wait: impl Fn(&T)) {
        let (sender, rounds) = mpsc::sync_channel::<Arc<T>>(0);
        thread::scope(|scope| {
            let end = &end;
            scope.spawn(move || rounds.into_iter().for_each(|round| end(&round)));
            let sender = sender;
            for _ in 0..5000 {
                let round = Arc::new(start());
                sender.send(Arc::clone(&round)).unwrap();
                wait(&round);
            }
        });
    }

    #[test]
    fn a_cancellation_at_any_moment_of_the_wait_ends_it() {
        race(CancelToken::new, CancelToken::cancel, |token| {
            let result = wait(&Waitable::new(()), token, |()| None::<()>);
            assert_eq!(result, Err(WaitError::Cancelled));
        });
    }

    #[test]
    fn a_change_at_any_moment_of_the_wait_ends_it() {
        let token = CancelToken::new();
        let set = |waitable: &Waitable<bool>| waitable.update(|set| *set = true);
        race(
            || Waitable::new(false),
            set,
            |waitable| {
                assert_eq!(wait(waitable, &token, |set| set.then_some(())), Ok(()));
            },
        );
    }

    /// Otherwise it could notify between a waiter's look at the token and its sleep.
    #[test]
    fn a_cancellation_does_not_notify_while_a_waiter_looks() {
        let (waitable, token) = (Waitable::new(()), CancelToken::new());
        let (sender, cancelled) = mpsc::channel();
        let mut looks = 0;
        thread::scope(|scope| {
            let result = wait(&waitable, &token, |()| {
                looks += 1;
                if looks == 2 {
                    let (token, sender) = (token.clone(), sender.clone());
                    scope.spawn(move || {
                        token.cancel();
                        sender.send(()).unwrap();
                    });
                    let early = cancelled.recv_timeout(Duration::from_millis(50));
                    assert!(early.is_err(), "it did not take the lock");
                }
                None::<()>
            });
            assert_eq!(result, Err(WaitError::Cancelled));
        });
        cancelled.recv().unwrap();
    }

    #[test]
    fn changes_that_do_not_help_leave_the_deadline_as_it_is() {
        let waitable = Waitable::new(0_u64);
        let (ended, deadline) = (CancelToken::new(), Instant::now() + Duration::from_millis(30));
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.is_cancelled() {
                    waitable.update(|changes| *changes += 1);
                }
            });
            let result = waitable.wait(deadline, None, |_| None::<()>);
            ended.cancel();
            assert_eq!(result, Err(WaitError::TimedOut));
        });
        assert!(Instant::now() >= deadline);
    }

    #[test]
    fn a_wait_leaves_nothing_with_its_token() {
        let (token, alive) = (CancelToken::new(), Arc::new(()));
        let waitable = Waitable::new(Arc::clone(&alive));
        let result = waitable.wait(Instant::now(), &token, |_| None::<()>);
        assert_eq!(result, Err(WaitError::TimedOut));
        drop(waitable);
        assert_eq!(Arc::strong_count(&alive), 1, "the callback still owns the state");
        token.cancel();
    }
}
