//! How a pool learns that memory is short.

use std::fmt;

/// Tells whether the process should not grow now.
///
/// While it should not, a pool starts no worker beyond its minimum (workers in the place of such
/// that wait in a join excepted); tasks wait for the workers there are.
///
/// ```
/// use std::sync::Arc;
/// use gristmill::pool::{MemoryPressure, Pool, Priority};
///
/// #[derive(Debug)]
/// struct Roomy;
///
/// impl MemoryPressure for Roomy {
///     fn is_high(&self) -> bool {
///         false
///     }
///
///     fn on_relief(&self, _relieved: Box<dyn Fn() + Send + Sync>) {
///         // Never high, so never relieved.
///     }
/// }
///
/// let pool = Pool::builder().memory_pressure(Arc::new(Roomy)).build()?;
/// assert_eq!(pool.spawn(Priority::Normal, || 1).join(), Ok(1));
/// # Ok::<(), gristmill::pool::PoolError>(())
/// ```
pub trait MemoryPressure: Send + Sync + fmt::Debug {
    /// Whether memory is short. Asked each time a worker is about to be woken or started, from any
    /// thread: it must be quick and must not call the pool.
    fn is_high(&self) -> bool;

    /// Keeps `relieved` and calls it, from any thread, each time that pressure has ended. The pool
    /// then starts the workers that it held back. It keeps no pool alive.
    fn on_relief(&self, relieved: Box<dyn Fn() + Send + Sync>);
}
