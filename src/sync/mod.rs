//! Synchronization primitives of the code that is model checked: the pool's protocols, and
//! [`cancel::wait`](crate::cancel::wait), on which its semaphore is built.
//!
//! Normally these are the primitives of `parking_lot` and the standard library. In the model checks
//! (`gristmill_model`, see the README of `pool`) the same names stand for those of a checker, which
//! explores the orders in which threads can take their steps.

#[cfg(all(test, gristmill_model))]
pub(crate) mod model;
#[cfg(not(all(test, gristmill_model)))]
mod real;

#[cfg(all(test, gristmill_model))]
pub(crate) use model::*;
#[cfg(not(all(test, gristmill_model)))]
pub(crate) use real::*;
