//! The caches behind the one trait, a file each.

pub(crate) mod gristmill;
#[cfg(feature = "caches")]
pub(crate) mod mini_moka;
#[cfg(feature = "caches")]
pub(crate) mod moka;
#[cfg(feature = "caches")]
pub(crate) mod quick_cache;

use std::time::Duration;

/// How long entries live where the engine is told so. No run takes as long, so none expires.
const TTL: Duration = Duration::from_hours(1);
