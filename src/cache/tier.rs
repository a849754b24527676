//! The seam to a second tier below memory: slower, larger, and kept across restarts.

use std::error::Error;

/// An operation of a tier failed.
#[derive(Debug, thiserror::Error)]
#[error("the second tier cannot {operation}")]
pub struct TierError {
    /// `read` or `write`.
    pub operation: &'static str,
    /// Why.
    #[source]
    pub source: Box<dyn Error + Send + Sync>,
}

/// A second tier: stores values under keys, typically on disk, with an expiry of its own.
pub trait Tier<K, V>: Send + Sync {
    /// The value under `key`, if there is one.
    fn get(&self, key: &K) -> Result<Option<V>, TierError>;

    /// Stores `value` under `key`.
    fn put(&self, key: &K, value: &V) -> Result<(), TierError>;
}
