//! Entry points for the fuzz targets; not part of the public interface.

use crate::store::index::Row;
use crate::store::record::{GroupPayload, Ops, RecordHeader, SegmentHeader};

/// Decodes arbitrary bytes as each structure of the log and the index, and checks that what decodes
/// encodes to the same bytes again. Returns the number of structures that decoded.
pub fn decode_records(bytes: &[u8]) -> usize {
    let mut decoded = 0;
    if let Some(head) = bytes.first_chunk()
        && let Ok(header) = SegmentHeader::decode(head)
    {
        assert_eq!(SegmentHeader::decode(&header.encode()), Ok(header));
        decoded += 1;
    }
    if let Some(head) = bytes.first_chunk()
        && let Ok(header) = RecordHeader::decode(head, 0)
    {
        let mut again = header.encode_unstamped();
        super::record::stamp(&mut again, header.sequence, 0);
        assert_eq!(RecordHeader::decode(&again, 0), Ok(header));
        assert!(header.span() >= 40);
        decoded += 1;
    }
    decoded += decode_group(bytes);
    decoded += decode_ops(bytes);
    if let Ok(row) = Row::decode(bytes) {
        let mut again = Vec::new();
        row.encode(&mut again);
        assert_eq!(Row::decode(&again), Ok(row));
        decoded += 1;
    }
    decoded
}

fn decode_group(bytes: &[u8]) -> usize {
    let parts = GroupPayload::decode(bytes).and_then(|group| group.parts());
    parts.map_or(0, |parts| parts.iter().map(|(_, ops)| 1 + decode_ops(ops)).sum())
}

/// Operations one after the other, up to the first damage.
fn decode_ops(bytes: &[u8]) -> usize {
    let ops: Vec<_> = Ops::new(bytes, 0).map_while(Result::ok).collect();
    let mut again = Vec::new();
    for op in &ops {
        super::record::encode_op(&mut again, op);
    }
    assert!(Ops::new(&again, 0).eq(ops.iter().copied().map(Ok)));
    ops.len()
}
