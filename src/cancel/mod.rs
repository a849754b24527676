//! Cancellation: a tree of tokens, and waits that a token ends.
//!
//! Cancelling a [`CancelToken`] cancels the tokens below it and runs the callbacks registered on
//! them. Whatever in this crate waits for another thread and is to stop when a token is cancelled
//! waits on a `Waitable`.

mod token;
pub(crate) mod wait;

pub use token::{CancelGuard, CancelToken};
