//! Segments: the append-only files of the log.
//!
//! | file | what |
//! | --- | --- |
//! | `file` | one segment: creating, reading and removing it |
//! | `map` | the memory map of a segment; the only `unsafe` of the crate |
//! | `table` | the segments by id, and the leases of readers |
//!
//! # Invariants
//!
//! - A segment is created, reserved, given its header, flushed, and its name made durable, before
//!   a group is appended to it. (`file`)
//! - No reader slices past the flushed tail of a segment, and no pointer lies beyond it. (`file`)
//! - A mapped file is never cut below what its readers may see; an open store maps each segment
//!   once, at full length. (`map`, `file`)

mod file;
mod map;
mod table;

pub(super) use file::{Segment, SegmentContext};
pub(super) use table::{Lease, Segments};
