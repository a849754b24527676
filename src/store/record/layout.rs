//! Lengths, units and small types of the format.

/// Version of the format written, and the newest one read. Version 1 had no expiries, deduplicated
/// values and moves; its files are read as they are.
pub(in crate::store) const FORMAT_VERSION: u32 = 2;
/// Length of a segment's header.
pub(in crate::store) const SEGMENT_HEADER_BYTES: usize = 64;
/// Length of a record's header.
pub(in crate::store) const RECORD_HEADER_BYTES: usize = 40;
/// Records begin at multiples of this.
pub(in crate::store) const ALIGNMENT: usize = 8;
/// Fixed part of a group record's payload.
pub(in crate::store) const GROUP_FIXED_BYTES: usize = 24;
/// Head of one batch in a group record's payload.
pub(in crate::store) const BATCH_HEAD_BYTES: usize = 16;
/// Head of one operation in a batch.
pub(in crate::store) const OP_HEAD_BYTES: usize = 24;
/// Bytes that an operation may have between its head and its key: expiry, hash, old place.
pub(in crate::store) const OP_EXTRA_MAX: usize = 8 + HASH_BYTES + 12;
/// Length of an operation that moves a record, less the length of its row key: its head and the old
/// place, without the keyspace id at the start of the row key.
pub(in crate::store) const MOVE_BYTES: usize = OP_HEAD_BYTES + 12 - 4;
/// Length of the hash of a deduplicated value.
pub(in crate::store) const HASH_BYTES: usize = 32;

/// A BLAKE3 hash.
pub(in crate::store) type Hash = [u8; HASH_BYTES];

/// What is wrong with some bytes, for an error message.
pub(in crate::store) type Damage = &'static str;

/// `length` rounded up to the next record boundary.
pub(in crate::store) const fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// How the bytes of a value are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Codec {
    /// As they are.
    Plain,
    /// As one zstd frame.
    Zstd,
}

impl Codec {
    pub(in crate::store) const fn byte(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Zstd => 1,
        }
    }

    pub(in crate::store) const fn from_byte(byte: u8) -> Result<Self, Damage> {
        match byte {
            0 => Ok(Self::Plain),
            1 => Ok(Self::Zstd),
            _ => Err("unknown codec"),
        }
    }
}

/// A length that the limits on keys, values and batches keep below 4 GiB.
pub(in crate::store) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("invariant: lengths are limited below 4 GiB")
}
