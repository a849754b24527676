//! A counting semaphore: how many requests are in flight at once.

use std::time::Instant;

use super::deadline::Deadline;
use crate::cancel::CancelToken;
use crate::cancel::wait::{WaitError, Waitable};

#[derive(Clone, Debug)]
pub(super) struct Permits {
    free: Waitable<usize>,
}

/// One request in flight; dropping it lets the next one go.
#[derive(Debug)]
pub(super) struct Permit {
    free: Waitable<usize>,
}

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Self { free: Waitable::new(count) }
    }

    pub(super) fn acquire(
        &self,
        deadline: &Deadline,
        cancel: &CancelToken,
    ) -> Result<Permit, WaitError> {
        let take = |free: &mut usize| {
            *free = free.checked_sub(1)?;
            Some(())
        };
        // The clock is asked only where there is something to wait for.
        let taken = self.free.wait(Instant::now(), None, take);
        taken.or_else(|_| self.free.wait(deadline.instant(), cancel, take))?;
        Ok(Permit { free: self.free.clone() })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.free.update(|free| *free += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::time::SystemClock;

    #[test]
    fn a_permit_is_waited_for_and_given_back() {
        let clock = SystemClock::shared();
        let (permits, cancel) = (Permits::new(1), CancelToken::new());
        let held = permits.acquire(&Deadline::after(&clock, Duration::ZERO), &cancel).unwrap();
        let soon = Deadline::after(&clock, Duration::from_millis(5));
        assert_eq!(permits.acquire(&soon, &cancel).unwrap_err(), WaitError::TimedOut);
        let other = {
            let (permits, cancel) = (permits.clone(), cancel.clone());
            let late = Deadline::after(&clock, Duration::from_mins(1));
            std::thread::spawn(move || permits.acquire(&late, &cancel).is_ok())
        };
        drop(held);
        assert!(other.join().unwrap());
        let held = permits.acquire(&soon, &cancel).unwrap();
        cancel.cancel();
        let late = Deadline::after(&clock, Duration::from_mins(1));
        assert_eq!(permits.acquire(&late, &cancel).unwrap_err(), WaitError::Cancelled);
        drop(held);
    }
}
