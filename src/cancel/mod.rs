//! Cancellation: a tree of tokens, and waits that a token ends.
//!
//! Cancelling a [`CancelToken`] cancels the tokens below it and runs the callbacks registered on
//! them. Every wait in this crate for another thread that a token can end is a wait on a
//! `Waitable`.

mod token;
pub(crate) mod wait;

pub use token::{CancelGuard, CancelToken};
