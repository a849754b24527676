//! The seam to a tier below the memory: slower, larger, and kept over a restart.

use std::error::Error;

/// A tier refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("the second tier cannot {operation}")]
pub struct TierError {
    /// `read` or `write`.
    pub operation: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// Keeps values under keys, typically on disk. Expiry is the tier's own concern.
pub trait Tier<K, V>: Send + Sync {
    /// The value under `key`, if it has one.
    fn get(&self, key: &K) -> Result<Option<V>, TierError>;

    /// Keeps `value` under `key`.
    fn put(&self, key: &K, value: &V) -> Result<(), TierError>;
}
