//! Headers of segments and records.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::layout::{Codec, Damage, RECORD_HEADER_BYTES, SEGMENT_HEADER_BYTES, padded};
use super::reader::Reader;

const SEGMENT_MAGIC: [u8; 8] = *b"GRISTSEG";
const RECORD_MAGIC: [u8; 4] = *b"GRrc";

/// The first bytes of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct SegmentHeader {
    pub(in crate::store) version: u32,
    pub(in crate::store) id: u32,
    pub(in crate::store) salt: u64,
    pub(in crate::store) created_ms: u64,
}

impl SegmentHeader {
    pub(in crate::store) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        bytes[0..8].copy_from_slice(&SEGMENT_MAGIC);
        bytes[8..12].copy_from_slice(&self.version.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.id.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.salt.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.created_ms.to_le_bytes());
        let checksum = xxh3_64(&bytes[..56]);
        bytes[56..64].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Decodes a header of any version: the layout of these 64 bytes never changes.
    pub(in crate::store) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, Damage> {
        let mut reader = Reader(bytes);
        if reader.take(8)? != SEGMENT_MAGIC {
            return Err("no segment header");
        }
        let (version, id) = (reader.u32()?, reader.u32()?);
        let (salt, created_ms) = (reader.u64()?, reader.u64()?);
        reader.take(24)?;
        if reader.u64()? != xxh3_64(&bytes[..56]) {
            return Err("segment header fails its checksum");
        }
        Ok(Self { version, id, salt, created_ms })
    }
}

/// What a record holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum RecordKind {
    /// The bytes of one value.
    Value,
    /// The operations of one group; it closes the group.
    Group,
}

/// The header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct RecordHeader {
    pub(in crate::store) kind: RecordKind,
    pub(in crate::store) codec: Codec,
    /// Sequence number of the group that the record belongs to.
    pub(in crate::store) sequence: u64,
    /// Length of the payload in the segment.
    pub(in crate::store) stored: u32,
    /// Length of the payload once decoded.
    pub(in crate::store) raw: u32,
    /// XXH3 of the payload as stored.
    pub(in crate::store) checksum: u64,
}

impl RecordHeader {
    /// Header and payload with its padding, in bytes.
    pub(in crate::store) fn span(&self) -> u64 {
        (RECORD_HEADER_BYTES + padded(self.stored as usize)) as u64
    }

    /// Encodes all but what [`stamp`] fills in.
    pub(in crate::store) fn encode_unstamped(&self) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[0..4].copy_from_slice(&RECORD_MAGIC);
        bytes[4] = match self.kind {
            RecordKind::Value => 1,
            RecordKind::Group => 2,
        };
        bytes[5] = self.codec.byte();
        bytes[16..20].copy_from_slice(&self.stored.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.raw.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.checksum.to_le_bytes());
        bytes
    }

    /// Whether bytes may be the start of a header: a cheap test before [`Self::decode`].
    pub(in crate::store) fn may_begin_with(bytes: &[u8]) -> bool {
        bytes.starts_with(&RECORD_MAGIC)
    }

    /// Decodes a header of the segment with this salt.
    pub(in crate::store) fn decode(
        bytes: &[u8; RECORD_HEADER_BYTES],
        salt: u64,
    ) -> Result<Self, Damage> {
        let mut reader = Reader(bytes);
        if reader.take(4)? != RECORD_MAGIC {
            return Err("no record");
        }
        if bytes[36..40] != header_checksum(bytes, salt) {
            return Err("record header fails its checksum");
        }
        let kind = match reader.u8()? {
            1 => RecordKind::Value,
            2 => RecordKind::Group,
            _ => return Err("unknown record kind"),
        };
        let codec = Codec::from_byte(reader.u8()?)?;
        reader.take(2)?;
        Ok(Self {
            kind,
            codec,
            sequence: reader.u64()?,
            stored: reader.u32()?,
            raw: reader.u32()?,
            checksum: reader.u64()?,
        })
    }
}

/// Completes an encoded record header with its sequence and the checksum of the header. Bytes
/// shorter than a header are left alone.
pub(in crate::store) fn stamp(header: &mut [u8], sequence: u64, salt: u64) {
    let Some(header) = header.first_chunk_mut::<RECORD_HEADER_BYTES>() else { return };
    header[8..16].copy_from_slice(&sequence.to_le_bytes());
    let checksum = header_checksum(header, salt);
    header[36..40].copy_from_slice(&checksum);
}

/// The low half of the seeded XXH3 of bytes 0..36.
fn header_checksum(bytes: &[u8; RECORD_HEADER_BYTES], salt: u64) -> [u8; 4] {
    let [a, b, c, d, ..] = xxh3_64_with_seed(&bytes[..36], salt).to_le_bytes();
    [a, b, c, d]
}

/// XXH3 of a payload.
pub(in crate::store) fn payload_checksum(payload: &[u8]) -> u64 {
    xxh3_64(payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> RecordHeader {
        let (kind, codec) = (RecordKind::Value, Codec::Zstd);
        RecordHeader { kind, codec, sequence: 7, stored: 13, raw: 99, checksum: 0xfeed }
    }

    #[test]
    fn a_record_header_decodes_with_its_salt_alone_and_no_bit_flipped() {
        let mut bytes = header().encode_unstamped();
        stamp(&mut bytes, 7, 42);
        assert_eq!(RecordHeader::decode(&bytes, 42), Ok(header()));
        assert_eq!(header().span(), 40 + 16);
        assert!(RecordHeader::decode(&bytes, 43).is_err());
        for bit in 0..bytes.len() * 8 {
            let mut bytes = bytes;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordHeader::decode(&bytes, 42).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_segment_header_is_laid_out_as_documented() {
        let header = SegmentHeader { version: 1, id: 2, salt: 3, created_ms: 4 };
        let bytes = header.encode();
        assert_eq!(&bytes[..8], b"GRISTSEG");
        assert_eq!((bytes[8], bytes[12], bytes[16], bytes[24]), (1, 2, 3, 4));
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for at in 0..bytes.len() {
            let mut bytes = bytes;
            bytes[at] ^= 1;
            assert!(SegmentHeader::decode(&bytes).is_err(), "byte {at}");
        }
    }
}
