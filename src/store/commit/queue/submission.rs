//! Batches in the queue.

use crate::store::commit::encoded::Encoded;

/// The origin of a batch, and whether a caller waits for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Submitter {
    /// A caller that leads if need be.
    Sync,
    /// No caller waits yet.
    Buffered,
    /// The store itself, reclaiming space. Never blocked.
    Internal,
}

/// One batch with its number.
#[derive(Debug)]
pub(in crate::store) struct Submission {
    pub(in crate::store) number: u64,
    pub(in crate::store) encoded: Encoded,
    pub(super) by: Submitter,
}

impl Submission {
    /// Its number, and whether a caller waits for its outcome.
    pub(in crate::store) fn ticket(&self) -> (u64, bool) {
        (self.number, self.by != Submitter::Buffered)
    }
}

/// The batches that the leader flushes together.
#[derive(Debug)]
pub(in crate::store) struct NextGroup {
    pub(in crate::store) submissions: Vec<Submission>,
    /// Number of the last.
    pub(in crate::store) last: u64,
    /// Bytes of the queue that become free when they are applied.
    pub(in crate::store) bytes: usize,
}
