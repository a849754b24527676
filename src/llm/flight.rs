//! Single flight: equal requests under way at the same time are made once.
//!
//! The first call with a key leads; the others follow it and wait for its outcome. A leader that is
//! cancelled, runs out of time or panics abandons the flight, and its followers start over.
//!
//! A leader that has to wait before a retry does one of two things. If its caller wants the wait
//! back, the flight ends with it: all followers are deferred too, and whichever call returns first
//! leads the next flight. If the leader waits itself, it keeps the flight and announces the wait,
//! so that followers whose callers do not want to wait can leave.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::error::LlmError;
use super::request::Completion;
use crate::cancel::wait::Waitable;

type Key = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Flights {
    open: Mutex<HashMap<Key, OpenFlight>>,
    /// Counts the flights that have ended.
    ended: AtomicU64,
}

/// A flight that can be joined.
#[derive(Debug)]
struct OpenFlight {
    flight: Waitable<Flight>,
    followers: u32,
}

#[derive(Debug, Default)]
pub(super) struct Flight {
    outcome: Option<FlightOutcome>,
    /// The wait that the leader is in.
    wait: Option<Deferral>,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(super) enum FlightOutcome {
    Answer(Arc<Completion>),
    Failure(Arc<LlmError>),
    /// The request is to be made again after a wait.
    Deferred(Deferral),
    Abandoned,
}

/// A wait before a retry.
#[derive(Clone, Debug)]
pub(super) struct Deferral {
    /// Monotonic time of its end.
    pub(super) until: Duration,
    /// Attempts that failed before it.
    pub(super) retries: u32,
    /// Why the last of them failed.
    pub(super) cause: Arc<LlmError>,
}

impl Flight {
    pub(super) fn outcome(&self) -> Option<FlightOutcome> {
        self.outcome.clone()
    }

    /// The wait that the leader is in. One that is over does not count: the leader is about to go
    /// on.
    pub(super) fn leaders_wait(&self, now: impl FnOnce() -> Duration) -> Option<FlightOutcome> {
        let wait = self.wait.as_ref()?;
        (wait.until > now()).then(|| FlightOutcome::Deferred(wait.clone()))
    }
}

/// The part of a call in a flight.
#[derive(Debug)]
pub(super) enum Participant<'a> {
    Leader(Leader<'a>),
    Follower(Waitable<Flight>),
}

/// The call that makes the request. Dropping it abandons the flight.
#[derive(Debug)]
pub(super) struct Leader<'a> {
    flights: &'a Flights,
    key: Key,
    flight: Waitable<Flight>,
    closed: bool,
}

impl Flights {
    /// How many flights have ended. If the number is the same before a lookup in memory and after
    /// joining, no flight has brought an answer in between.
    pub(super) fn ended(&self) -> u64 {
        // Acquire pairs with the Release in `close`: a reader of the new number finds the flight's
        // answer in memory. A flight that ends later is seen by `join`, which takes the lock.
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn join(&self, key: Key) -> Participant<'_> {
        let mut open = self.open.lock();
        if let Some(known) = open.get_mut(&key) {
            known.followers += 1;
            return Participant::Follower(known.flight.clone());
        }
        let flight = Waitable::new(Flight::default());
        open.insert(key, OpenFlight { flight: flight.clone(), followers: 0 });
        Participant::Leader(Leader { flights: self, key, flight, closed: false })
    }
}

impl Leader<'_> {
    /// Ends the flight with a result, and returns the leader's own.
    pub(super) fn finish(
        mut self,
        result: Result<Arc<Completion>, LlmError>,
    ) -> Result<Arc<Completion>, LlmError> {
        let followed = self.close();
        let (outcome, result) = match result {
            Ok(answer) => (FlightOutcome::Answer(Arc::clone(&answer)), Ok(answer)),
            Err(error @ (LlmError::Cancelled | LlmError::Deadline { .. })) => {
                (FlightOutcome::Abandoned, Err(error))
            }
            Err(error) if followed => {
                let shared = Arc::new(error);
                (FlightOutcome::Failure(Arc::clone(&shared)), Err(LlmError::Shared(shared)))
            }
            Err(error) => (FlightOutcome::Abandoned, Err(error)),
        };
        self.flight.update(|flight| flight.outcome = Some(outcome));
        result
    }

    /// Ends the flight with a wait, and returns its cause.
    pub(super) fn defer(mut self, deferral: Deferral) -> LlmError {
        if !self.close() {
            return Arc::try_unwrap(deferral.cause).unwrap_or_else(LlmError::Shared);
        }
        let cause = Arc::clone(&deferral.cause);
        self.flight.update(|flight| flight.outcome = Some(FlightOutcome::Deferred(deferral)));
        LlmError::Shared(cause)
    }

    /// Announces that the leader begins a wait, or that it has ended it.
    pub(super) fn announce(&self, wait: Option<Deferral>) {
        self.flight.update(|flight| flight.wait = wait);
    }

    /// Takes the flight out under the lock of `join`, so that no call can follow any more. Returns
    /// whether one does.
    fn close(&mut self) -> bool {
        self.closed = true;
        let mut open = self.flights.open.lock();
        self.flights.ended.fetch_add(1, Ordering::Release);
        open.remove(&self.key).is_some_and(|closed| closed.followers > 0)
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if !self.closed {
            self.close();
            self.flight.update(|flight| flight.outcome = Some(FlightOutcome::Abandoned));
        }
    }
}
