//! The stores behind the one trait, a file each.

#[cfg(feature = "stores")]
pub(crate) mod fjall;
pub(crate) mod gristmill;
#[cfg(feature = "stores")]
pub(crate) mod lmdb;
#[cfg(feature = "stores")]
pub(crate) mod redb;
#[cfg(feature = "stores")]
pub(crate) mod sqlite;

/// Bytes that an engine may keep of its files in memory, or map, where it has to be told: the
/// default of redb, and more than all pages together.
#[cfg(feature = "stores")]
const CACHE_BYTES: u32 = 1 << 30;
