//! A counting semaphore: how many requests are in flight at once.

use std::sync::Arc;

use super::signal::{Deadline, Signal, Woken};
use crate::cancel::CancelToken;

#[derive(Clone, Debug)]
pub(super) struct Permits {
    free: Arc<Signal<usize>>,
}

/// One request in flight; dropping it lets the next one go.
#[derive(Debug)]
pub(super) struct Permit {
    free: Arc<Signal<usize>>,
}

impl Permits {
    pub(super) fn new(count: usize) -> Self {
        Self { free: Signal::new(count) }
    }

    pub(super) fn acquire(
        &self,
        deadline: &Deadline,
        cancel: &CancelToken,
    ) -> Result<Permit, Woken> {
        self.free.wait(deadline, cancel, |free| {
            *free = free.checked_sub(1)?;
            Some(())
        })?;
        Ok(Permit { free: Arc::clone(&self.free) })
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
        assert_eq!(permits.acquire(&soon, &cancel).unwrap_err(), Woken::Deadline);
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
        assert_eq!(permits.acquire(&late, &cancel).unwrap_err(), Woken::Cancelled);
        drop(held);
    }
}
