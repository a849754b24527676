//! How a pool learns that memory is short.

use std::fmt;

/// Reports whether memory is short, and when that has ended.
///
/// While memory is short, a pool starts no worker beyond its minimum, except in place of workers
/// that wait in a join. Tasks wait for the workers that exist.
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
    /// Whether memory is short. Called from any thread, each time a worker is about to be woken or
    /// started. It must be quick and must not call the pool.
    fn is_high(&self) -> bool;

    /// Stores `relieved`, to call it from any thread each time that memory is no longer short. The
    /// pool then starts the workers that it held back. The callback does not keep the pool alive.
    fn on_relief(&self, relieved: Box<dyn Fn() + Send + Sync>);
}
