//! Batches on their way through the queue.

use crate::store::commit::encoded::Encoded;

/// Who waits for a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Submitter {
    /// A caller that leads if need be.
    Sync,
    /// Nobody, yet.
    Buffered,
    /// The store itself, reclaiming space; never held up.
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
    /// Its number, and whether somebody waits to be told what became of it.
    pub(in crate::store) fn ticket(&self) -> (u64, bool) {
        (self.number, self.by != Submitter::Buffered)
    }
}

/// The batches that the leader flushes together.
#[derive(Debug)]
pub(in crate::store) struct Taken {
    pub(in crate::store) submissions: Vec<Submission>,
    /// Number of the last.
    pub(in crate::store) last: u64,
    /// Bytes to give back when they are applied.
    pub(in crate::store) bytes: usize,
}
