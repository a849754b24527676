//! Time as the cache counts it.

use std::time::Duration;

/// Milliseconds of the cache's clock.
pub(super) type Millis = u64;

/// The expiry of an entry that does not expire.
pub(super) const NEVER: Millis = Millis::MAX;

/// Rounded down; [`NEVER`] for what does not fit.
pub(super) fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(NEVER)
}
