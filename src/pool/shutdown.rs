//! The ways to shut a pool down.

/// What [`Pool::shutdown`](super::Pool::shutdown) does with tasks that have not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownMode {
    /// Queued tasks are run. Delayed tasks that are not due are cancelled, because their time may
    /// be hours away.
    Drain,
    /// Queued and delayed tasks are cancelled, and so are the tokens of running tasks.
    Cancel,
}
