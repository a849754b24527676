//! Waiting for the outcome of a batch, and for the end of the queue.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Condvar;

use super::{Queue, QueueState, Waiter};
use crate::store::error::StoreError;
use crate::time::deadline_in;

/// What a waiting caller does next.
#[derive(Debug)]
enum Turn {
    Lead,
    Done(Result<(), StoreError>),
}

impl QueueState {
    /// Forgets a refusal once the only caller that could ask for it has been told.
    fn forget_refused(&mut self, number: u64) {
        let holds = |(first, last, _): &(u64, u64, _)| (*first..=*last).contains(&number);
        let Some(at) = self.refused.iter().rposition(holds) else { return };
        let (first, last, error) = self.refused.remove(at);
        if number < last {
            self.refused.insert(at, (number + 1, last, Arc::clone(&error)));
        }
        if first < number {
            self.refused.insert(at, (first, number - 1, error));
        }
    }
}

impl Queue {
    /// Waits for [`close`](Self::close). No deadline is needed: dropping the last handle calls it.
    pub(in crate::store) fn wait_closing(&self) {
        let mut state = self.state.lock();
        while !state.closing {
            self.done.wait(&mut state);
        }
    }

    /// Waits for the end of the threads. Returns the failure, if there was one.
    pub(in crate::store) fn wait_stopped(&self, timeout: Duration) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let deadline = deadline_in(timeout);
        while !state.stopped {
            if self.done.wait_until(&mut state, deadline).timed_out() && !state.stopped {
                return Err(self.timeout("close", timeout));
            }
        }
        match &state.failure {
            Some((_, error)) => Err(self.poisoned(error)),
            None => Ok(()),
        }
    }

    /// Waits until all batches so far are durable and visible. Fails if one without a waiting
    /// caller was refused and no flush has reported that yet.
    pub(in crate::store) fn flush(&self, timeout: Duration) -> Result<(), StoreError> {
        let result = self.wait_answered(self.newest(), timeout, "flush");
        if let Some(error) = self.state.lock().unreported.take() {
            return Err(self.refusal(&error));
        }
        result
    }

    /// Waits until the batches up to `number` are durable and visible, or were refused: of that
    /// their own callers are told, or a flush.
    pub(in crate::store) fn wait_answered(
        &self,
        number: u64,
        timeout: Duration,
        action: &'static str,
    ) -> Result<(), StoreError> {
        match self.wait(number, timeout, action) {
            Err(StoreError::Refused { .. }) => Ok(()),
            result => result,
        }
    }

    /// Waits until the batches up to `number` are durable and visible, leading if need be.
    pub(in crate::store) fn wait_leading(
        &self,
        number: u64,
        timeout: Duration,
        action: &'static str,
        mut lead: impl FnMut(),
    ) -> Result<(), StoreError> {
        let deadline = deadline_in(timeout);
        loop {
            match self.turn(number, true, deadline, timeout, action) {
                Turn::Lead => lead(),
                Turn::Done(result) => {
                    if matches!(result, Err(StoreError::Refused { .. })) {
                        self.state.lock().forget_refused(number);
                    }
                    return result;
                }
            }
        }
    }

    /// Waits until the batches up to `number` are durable and visible, and has them written at
    /// once.
    pub(in crate::store) fn wait(
        &self,
        number: u64,
        timeout: Duration,
        action: &'static str,
    ) -> Result<(), StoreError> {
        if self.is_applied(number) && !self.any_refused.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.turn(number, false, deadline_in(timeout), timeout, action) {
            Turn::Done(result) => result,
            Turn::Lead => Err(self.timeout(action, timeout)),
        }
    }

    fn turn(
        &self,
        number: u64,
        leads: bool,
        deadline: Instant,
        timeout: Duration,
        action: &'static str,
    ) -> Turn {
        let mut state = self.state.lock();
        if !leads && state.urgent < number {
            state.urgent = number;
            if !state.leading {
                self.work.notify_one();
            }
        }
        loop {
            if let Some(result) = self.outcome(&state, number) {
                return Turn::Done(result);
            }
            if leads && !state.leading && !state.pending.is_empty() {
                state.leading = true;
                return Turn::Lead;
            }
            let wake = Arc::<Condvar>::default();
            state.waiters.push_back(Waiter { number, leads, wake: Arc::clone(&wake) });
            let late = wake.wait_until(&mut state, deadline).timed_out();
            state.waiters.retain(|waiter| !Arc::ptr_eq(&waiter.wake, &wake));
            if late && self.outcome(&state, number).is_none() {
                // This thread may have been chosen to lead.
                self.pass_on(&mut state);
                return Turn::Done(Err(self.timeout(action, timeout)));
            }
        }
    }

    /// The outcome of a batch; `None` while it is in flight.
    fn outcome(&self, state: &QueueState, number: u64) -> Option<Result<(), StoreError>> {
        if state.applied >= number {
            let hit = state
                .refused
                .iter()
                .rev()
                .find(|(first, last, _)| (*first..=*last).contains(&number));
            return Some(match hit {
                Some((_, _, error)) => Err(self.refusal(error)),
                None => Ok(()),
            });
        }
        if let Some((first, error)) = &state.failure
            && number >= *first
        {
            return Some(Err(self.poisoned(error)));
        }
        state.stopped.then(|| Err(self.closed()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::store::commit::queue::MAX_REFUSED;

    fn queue() -> Queue {
        Queue::new(Path::new("dir"), 1 << 20)
    }

    fn full() -> Arc<StoreError> {
        let error = std::io::ErrorKind::StorageFull.into();
        Arc::new(StoreError::io("reserve", Path::new("file"), error))
    }

    const NOW: Duration = Duration::ZERO;

    fn is_refused(queue: &Queue, number: u64) -> bool {
        matches!(queue.wait(number, NOW, "wait"), Err(StoreError::Refused { .. }))
    }

    #[test]
    fn a_refusal_is_forgotten_when_its_caller_was_told_and_no_other_is() {
        let queue = queue();
        for number in 1..=5 {
            queue.refuse((number, true), &full());
        }
        queue.complete(6, 0);
        for told in [3, 1, 5] {
            let result = queue.wait_leading(told, NOW, "commit", || {});
            assert!(matches!(result, Err(StoreError::Refused { .. })), "{told}");
        }
        for number in 1..=6 {
            assert_eq!(is_refused(&queue, number), [2, 4].contains(&number), "{number}");
        }
    }

    #[test]
    fn with_more_refusals_than_can_be_remembered_the_store_fails_and_nobody_waits_in_vain() {
        let queue = queue();
        let last = 2 * MAX_REFUSED as u64 + 2;
        // Every other one, so that no two can be remembered as one.
        for number in (2..=last).step_by(2) {
            queue.refuse((number, false), &full());
            queue.complete(number, 0);
        }
        assert!(is_refused(&queue, 2) && !is_refused(&queue, 3) && is_refused(&queue, last));
        let waited = queue.wait(last + 1, Duration::MAX, "wait");
        assert!(matches!(waited, Err(StoreError::Poisoned { .. })), "{waited:?}");
    }
}
