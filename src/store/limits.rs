//! Limits on keys, values, batches and names.

/// Longest key, in bytes.
pub(super) const MAX_KEY_BYTES: usize = 32 << 10;
/// Largest value, in bytes.
pub(super) const MAX_VALUE_BYTES: usize = 256 << 20;
/// Largest batch, encoded, in bytes.
pub(super) const MAX_BATCH_BYTES: usize = 1 << 30;
/// Longest name of a keyspace, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 255;
/// Values up to this length are stored in the group record and in the index row itself. Longer ones
/// get a record of their own, and the row points to it.
pub(super) const INLINE_MAX: usize = 256;
