//! Single flight: equal requests that are under way are asked once.
//!
//! The first to join a key leads; the others wait for what it lands. A leader that is cancelled,
//! runs out of time or unwinds abandons the flight, and its followers try again on their own.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::error::LlmError;
use super::request::Completion;
use super::signal::Signal;

type Key = [u8; 32];

#[derive(Debug, Default)]
pub(super) struct Flights {
    flying: Mutex<HashMap<Key, Arc<Signal<Flight>>>>,
}

#[derive(Debug, Default)]
pub(super) struct Flight {
    landing: Option<Landing>,
    followers: u32,
}

/// How a flight ended.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    Answer(Arc<Completion>),
    Failure(Arc<LlmError>),
    Abandoned,
}

impl Flight {
    pub(super) fn landing(&mut self) -> Option<Landing> {
        self.landing.clone()
    }
}

/// What a request is in a flight.
#[derive(Debug)]
pub(super) enum Seat<'a> {
    Leader(Leader<'a>),
    Follower(Arc<Signal<Flight>>),
}

/// The duty to land a flight; dropping it abandons the flight.
#[derive(Debug)]
pub(super) struct Leader<'a> {
    flights: &'a Flights,
    key: Key,
    flight: Arc<Signal<Flight>>,
    landed: bool,
}

impl Flights {
    pub(super) fn join(&self, key: Key) -> Seat<'_> {
        let mut flying = self.flying.lock();
        if let Some(flight) = flying.get(&key) {
            flight.with(|flight| flight.followers += 1);
            return Seat::Follower(Arc::clone(flight));
        }
        let flight = Signal::new(Flight::default());
        flying.insert(key, Arc::clone(&flight));
        Seat::Leader(Leader { flights: self, key, flight, landed: false })
    }
}

impl Leader<'_> {
    /// Hands the result to all followers and gives it back.
    pub(super) fn land(
        mut self,
        result: Result<Arc<Completion>, LlmError>,
    ) -> Result<Arc<Completion>, LlmError> {
        // Taken out under the lock of `join`: from here on nobody can follow.
        self.flights.flying.lock().remove(&self.key);
        self.landed = true;
        let followed = self.flight.with(|flight| flight.followers > 0);
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
}

impl Drop for Leader<'_> {
    fn drop(&mut self) {
        if !self.landed {
            self.flights.flying.lock().remove(&self.key);
            self.flight.update(|flight| flight.landing = Some(Landing::Abandoned));
        }
    }
}
