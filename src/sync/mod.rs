//! The primitives of whatever is model checked: the pool's protocols, and the waits of
//! [`cancel::wait`](crate::cancel::wait) that its semaphore is made of.
//!
//! Usually they are those of `parking_lot` and the standard library. In the model checks
//! (`gristmill_model`, see the README of `pool`) the same names are those of a checker, which
//! tries the orders in which threads can take their steps.

#[cfg(all(test, gristmill_model))]
pub(crate) mod model;
#[cfg(not(all(test, gristmill_model)))]
mod real;

#[cfg(all(test, gristmill_model))]
pub(crate) use model::*;
#[cfg(not(all(test, gristmill_model)))]
pub(crate) use real::*;
