//! Single flight: equal requests that are under way are asked once.
//!
//! The first to join a key leads; the others wait for what it lands. A leader that is cancelled,
//! runs out of time or unwinds abandons the flight, and its followers try again on their own.
//!
//! Before a retry there is a wait. A leader that is put off lands the wait, and all who follow are
//! put off with it; who comes back first leads. A leader that pauses keeps its flight, but hangs
//! the wait out, so that followers that may not pause leave.

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
    flying: Mutex<HashMap<Key, Flying>>,
    /// Counts the flights that have ended.
    ended: AtomicU64,
}

/// A flight that can be joined.
#[derive(Debug)]
struct Flying {
    flight: Waitable<Flight>,
    followers: u32,
}

#[derive(Debug, Default)]
pub(super) struct Flight {
    landing: Option<Landing>,
    /// The wait that the leader sits out.
    pause: Option<PutOff>,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    Answer(Arc<Completion>),
    Failure(Arc<LlmError>),
    /// The question is to be asked again, later.
    Later(PutOff),
    Abandoned,
}

/// A wait before a retry.
#[derive(Clone, Debug)]
pub(super) struct PutOff {
    /// Monotonic time of its end.
    pub(super) until: Duration,
    /// Attempts that failed before it.
    pub(super) retries: u32,
    /// What the last of them ran into.
    pub(super) cause: Arc<LlmError>,
}

impl Flight {
    pub(super) fn landing(&self) -> Option<Landing> {
        self.landing.clone()
    }

    /// The wait that the leader sits out, unless it is over: the leader is about to go on then.
    pub(super) fn pause(&self, now: impl FnOnce() -> Duration) -> Option<Landing> {
        let pause = self.pause.as_ref()?;
        (pause.until > now()).then(|| Landing::Later(pause.clone()))
    }
}

/// What a request is in a flight.
#[derive(Debug)]
pub(super) enum Seat<'a> {
    Leader(Leader<'a>),
    Follower(Waitable<Flight>),
}

/// The duty to land a flight; dropping it abandons the flight.
#[derive(Debug)]
pub(super) struct Leader<'a> {
    flights: &'a Flights,
    key: Key,
    flight: Waitable<Flight>,
    landed: bool,
}

impl Flights {
    /// How many flights have ended. If it is the same before a look into memory and after joining,
    /// no flight has brought an answer in between.
    pub(super) fn ended(&self) -> u64 {
        // Acquire pairs with the Release in `close`: who sees a flight ended sees its answer in
        // memory. A flight that ends before this one is joined is seen by the lock of `join`.
        self.ended.load(Ordering::Acquire)
    }

    pub(super) fn join(&self, key: Key) -> Seat<'_> {
        let mut flying = self.flying.lock();
        if let Some(known) = flying.get_mut(&key) {
            known.followers += 1;
            return Seat::Follower(known.flight.clone());
        }
        let flight = Waitable::new(Flight::default());
        flying.insert(key, Flying { flight: flight.clone(), followers: 0 });
        Seat::Leader(Leader { flights: self, key, flight, landed: false })
    }
}

impl Leader<'_> {
    /// Hands the result to all followers and gives it back.
    pub(super) fn land(
        mut self,
        result: Result<Arc<Completion>, LlmError>,
    ) -> Result<Arc<Completion>, LlmError> {
        let followed = self.close();
        let (landing, result) = match result {
            Ok(answer) => (Landing::Answer(Arc::clone(&answer)), Ok(answer)),
            Err(error @ (LlmError::Cancelled | LlmError::Deadline { .. })) => {
                (Landing::Abandoned, Err(error))
            }
            Err(error) if followed => {
                let shared = Arc::new(error);
                (Landing::Failure(Arc::clone(&shared)), Err(LlmError::Shared(shared)))
            }
            Err(error) => (Landing::Abandoned, Err(error)),
        };
        self.flight.update(|flight| flight.landing = Some(landing));
        result
    }

    /// Puts all followers off and gives the cause back.
    pub(super) fn put_off(mut self, put_off: PutOff) -> LlmError {
        if !self.close() {
            return Arc::try_unwrap(put_off.cause).unwrap_or_else(LlmError::Shared);
        }
        let cause = Arc::clone(&put_off.cause);
        self.flight.update(|flight| flight.landing = Some(Landing::Later(put_off)));
        LlmError::Shared(cause)
    }

    /// Hangs the wait out that this leader is about to sit out, or takes it in.
    pub(super) fn pause(&self, pause: Option<PutOff>) {
        self.flight.update(|flight| flight.pause = pause);
    }

    /// Takes the flight out under the lock of `join`: from here on nobody can follow. Gives whether
    /// somebody does.
    fn close(&mut self) -> bool {
        self.landed = true;
        let mut flying = self.flights.flying.lock();
        self.flights.ended.fetch_add(1, Ordering::Release);
        flying.remove(&self.key).is_some_and(|flown| flown.followers > 0)
    }
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if !self.landed {
            self.close();
            self.flight.update(|flight| flight.landing = Some(Landing::Abandoned));
        }
    }
}
