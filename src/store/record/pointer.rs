//! Pointers to the records of values.

use super::group::{Place, Placed};
use super::layout::{Codec, RECORD_HEADER_BYTES, padded};

/// Where the record of a value is, and how the value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Pointer {
    pub(in crate::store) segment: u32,
    pub(in crate::store) offset: u64,
    pub(in crate::store) stored: u32,
    pub(in crate::store) raw: u32,
    pub(in crate::store) codec: Codec,
}

impl Pointer {
    /// The place of a record in a segment.
    pub(in crate::store) const fn new(segment: u32, placed: &Placed) -> Self {
        let Placed { codec, raw, stored, offset } = *placed;
        Self { segment, offset: offset.0, stored, raw, codec }
    }

    pub(in crate::store) const fn place(&self) -> Place {
        Place { segment: self.segment, offset: self.offset }
    }

    /// Bytes of the segment that the record takes.
    pub(in crate::store) fn footprint(&self) -> u64 {
        (RECORD_HEADER_BYTES + padded(self.stored as usize)) as u64
    }
}
