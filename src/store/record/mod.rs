//! The bytes of a segment: its header, record headers, and the payload of a group record.
//!
//! Pure encoding and decoding; byte by byte in `src/store/FORMAT.md`. All numbers are
//! little-endian. The checksum of a record's header is seeded with the segment's salt, so that a copy
//! of log bytes that a user stores as a value is never taken for a record of the segment it lies in.

mod group;
mod header;

pub(super) use group::{
    Action, GroupPayload, Op, Ops, Place, Placed, RecordOffset, encode_batch_head, encode_group,
    encode_op,
};
pub(super) use header::{RecordHeader, RecordKind, SegmentHeader, payload_checksum, stamp};

/// Version of the format written, and the newest one read. Version 1 had no expiries, shared
/// values and moves; its files are read as they are.
pub(super) const FORMAT_VERSION: u32 = 2;
/// Length of a segment's header.
pub(super) const SEGMENT_HEADER_BYTES: usize = 64;
/// Length of a record's header.
pub(super) const RECORD_HEADER_BYTES: usize = 40;
/// Records begin at multiples of this.
pub(super) const ALIGNMENT: usize = 8;
/// Fixed part of a group record's payload.
pub(super) const GROUP_FIXED_BYTES: usize = 24;
/// Head of one batch in a group record's payload.
pub(super) const BATCH_HEAD_BYTES: usize = 16;
/// Head of one operation in a batch.
pub(super) const OP_HEAD_BYTES: usize = 24;
/// Bytes that an operation may have between its head and its key: expiry, hash, old place.
pub(super) const OP_EXTRA_MAX: usize = 8 + HASH_BYTES + 12;
/// An operation that moves a record: its head and the old place, and the key less the keyspace's id
/// that a row key begins with.
pub(super) const MOVE_BYTES: usize = OP_HEAD_BYTES + 12 - 4;
/// Length of the hash that names a shared value.
pub(super) const HASH_BYTES: usize = 32;

/// A BLAKE3 hash.
pub(super) type Hash = [u8; HASH_BYTES];

/// Why bytes are not what they should be, in words for an error message.
pub(super) type Damage = &'static str;

/// `length` rounded up to the next record boundary.
pub(super) const fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// How the bytes of a value are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    /// As they are.
    Plain,
    /// As one zstd frame.
    Zstd,
}

impl Codec {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Zstd => 1,
        }
    }

    pub(super) const fn from_byte(byte: u8) -> Result<Self, Damage> {
        match byte {
            0 => Ok(Self::Plain),
            1 => Ok(Self::Zstd),
            _ => Err("unknown codec"),
        }
    }
}

/// A length that the limits on keys, values and batches keep below 4 GiB.
pub(super) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("invariant: lengths are limited below 4 GiB")
}

/// Takes numbers and slices off the front of bytes that may end anywhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let (head, rest) = self.0.split_at_checked(length).ok_or("ends too early")?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or("ends too early")?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Damage> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Damage> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Damage> {
        Ok(u64::from_le_bytes(self.array()?))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::store::fuzzing::decode_records;

    proptest! {
        #[test]
        fn arbitrary_bytes_are_errors_at_worst(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode_records(&bytes);
        }

        #[test]
        fn operations_with_arbitrary_lengths_are_errors_at_worst(
            head in prop::array::uniform24(0_u8..9),
            rest in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let bytes = [head.as_slice(), &rest].concat();
            decode_records(&bytes);
        }
    }
}
