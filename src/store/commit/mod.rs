//! Writing: from a batch to a durable group that readers see.
//!
//! | file | what |
//! | --- | --- |
//! | `encoded` | a batch as the log takes it, encoded on its caller's thread |
//! | `queue/` | the order of batches, and who writes the next group |
//! | `leader` | the way of a group: append, flush, apply, publish, answer |
//! | `log` | the end of the log: segments, their preparation, one flush a group |
//! | `reserve` | disk space kept back for what frees space |
//! | `dedup` | deduplicated values that batches on their way refer to |
//! | `buffers` | buffers of written batches, used again |
//! | `keyspace_ids` | the ids of the keyspaces by name |
//!
//! # Invariants
//!
//! - Append, one flush, apply, answer: nobody is answered before the flush, and neither the rows
//!   shown nor the index file know more than the flushed log. (`leader`, `log`)
//! - A failed write, flush or checkpoint poisons the store: every waiter gets a typed error,
//!   nothing is retried, reads go on, and opening again recovers. What a group changed in the
//!   ledger before it failed gets into no checkpoint. A batch that finds the disk full before
//!   anything of it is written is refused alone. (`queue`, `leader`)
//! - Room for one segment, and a quarter of that for checkpoints, is kept back for what frees
//!   space. (`reserve`)

pub(super) mod buffers;
pub(super) mod dedup;
pub(super) mod encoded;
pub(super) mod keyspace_ids;
pub(super) mod leader;
pub(super) mod log;
pub(super) mod queue;
pub(super) mod reserve;
