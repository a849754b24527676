//! Groups that are durable in the log and not yet applied to the index.

use std::time::Duration;

use crate::store::commit::dedup::Registrations;

/// A group that is durable and not yet in the index.
#[derive(Debug)]
pub(in crate::store) struct LoggedGroup {
    pub(in crate::store) sequence: u64,
    pub(in crate::store) segment: u32,
    pub(in crate::store) salt: u64,
    /// Where it ends in the segment.
    pub(in crate::store) end: u64,
    pub(in crate::store) batches: Vec<LoggedBatch>,
    /// Bytes it takes in the log.
    pub(in crate::store) length: u64,
    /// How long its flush took.
    pub(in crate::store) took: Duration,
}

/// A batch of a flushed group.
#[derive(Debug)]
pub(in crate::store) struct LoggedBatch {
    /// Where its first record begins in the segment.
    pub(in crate::store) base: u64,
    pub(in crate::store) ops: Vec<u8>,
    /// The buffer of its records, for reuse.
    pub(in crate::store) records: Vec<u8>,
    /// Keeps the deduplicated values that it refers to until it is applied.
    pub(in crate::store) _registrations: Registrations,
}
