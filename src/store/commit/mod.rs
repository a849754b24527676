//! Writing: from a batch to a durable group that is visible to readers.
//!
//! | file | what |
//! | --- | --- |
//! | `encoded` | a batch as the log takes it, encoded on its caller's thread |
//! | `queue/` | the order of batches, and who writes the next group |
//! | `leader` | the path of a group: append, flush, apply, publish, answer |
//! | `log` | the end of the log: preparing segments, one flush per group |
//! | `reserve` | disk space held for operations that free space |
//! | `dedup` | deduplicated values that batches in flight refer to |
//! | `buffers` | buffers of written batches, reused |
//! | `keyspace_ids` | the ids of the keyspaces by name |
//!
//! # Invariants
//!
//! - Append, one flush, apply, answer: no caller is answered before the flush, and neither the
//!   visible rows nor the index file are ahead of the flushed log. (`leader`, `log`)
//! - A failed write, flush or checkpoint poisons the store: every waiter gets a typed error,
//!   nothing is retried, reads go on, and opening again recovers. What a group changed in the
//!   ledger before it failed gets into no checkpoint. A batch that finds the disk full before
//!   anything of it is written is refused alone. (`queue`, `leader`)
//! - Disk space for one segment, and a quarter of that for checkpoints, is held in reserve for
//!   operations that free space. (`reserve`)

pub(super) mod buffers;
pub(super) mod dedup;
pub(super) mod encoded;
pub(super) mod keyspace_ids;
pub(super) mod leader;
pub(super) mod log;
pub(super) mod queue;
pub(super) mod reserve;
