//! An embedded engine that crawls politely, stores what it reads and distils it into cited facts.
#![forbid(unsafe_op_in_unsafe_fn)]

pub mod cancel;
#[cfg(feature = "http")]
pub mod model;
pub mod pool;
pub mod time;
#[cfg(feature = "http")]
pub mod url;
