//! The bytes of a segment: its header, record headers, and the payload of a group record.
//!
//! Pure encoding and decoding; byte by byte in `src/store/FORMAT.md`. All numbers are
//! little-endian. The checksum of a record's header is seeded with the segment's salt, so that a copy
//! of log bytes that a user stores as a value is never taken for a record of the segment it lies in.
//!
//! | file | what |
//! | --- | --- |
//! | `layout` | lengths, units and small types |
//! | `header` | the headers of segments and records |
//! | `group` | the payload of a group record: batches and their operations |
//! | `pointer` | where a value's record is |
//! | `logged` | a group that is durable and not yet applied to the index |
//! | `reader` | reading numbers and slices from untrusted bytes |
//!
//! # Invariant
//!
//! A record describes itself (magic, kind, sequence, lengths, checksums), begins at a multiple of 8
//! and never changes after it was appended.

mod group;
mod header;
mod layout;
mod logged;
mod pointer;
mod reader;

pub(super) use group::{
    Action, GroupPayload, Op, Ops, Placed, RecordOffset, encode_batch_head, encode_group, encode_op,
};
pub(super) use header::{RecordHeader, RecordKind, SegmentHeader, payload_checksum, stamp};
pub(super) use layout::{
    ALIGNMENT, BATCH_HEAD_BYTES, Codec, Damage, FORMAT_VERSION, GROUP_FIXED_BYTES, Hash,
    MOVE_BYTES, OP_EXTRA_MAX, OP_HEAD_BYTES, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, length_u32,
    padded,
};
pub(super) use logged::{LoggedBatch, LoggedGroup};
pub(super) use pointer::Pointer;
pub(super) use reader::Reader;

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
