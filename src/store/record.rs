//! The bytes of a segment: its header, record headers, and the payload of a group record.
//!
//! Pure encoding and decoding; byte by byte in `DESIGN.md`. All numbers are little-endian. Every
//! checksum of a header is seeded with the segment's salt, so that a copy of log bytes that a user
//! stores as a value is never taken for a record of the segment it lies in.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

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

/// Bit of an operation's flags: an expiry follows its head.
const FLAG_EXPIRES: u8 = 1;

const SEGMENT_MAGIC: [u8; 8] = *b"GRISTSEG";
const RECORD_MAGIC: [u8; 4] = *b"GRrc";

/// Why bytes are not what they should be, in words for an error message.
pub(super) type Damage = &'static str;

/// `length` rounded up to the next record boundary.
pub(super) const fn padded(length: usize) -> usize {
    length.next_multiple_of(ALIGNMENT)
}

/// The first bytes of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    pub(super) version: u32,
    pub(super) id: u32,
    pub(super) salt: u64,
    pub(super) created_ms: u64,
}

impl SegmentHeader {
    pub(super) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
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
    pub(super) fn decode(bytes: &[u8; SEGMENT_HEADER_BYTES]) -> Result<Self, Damage> {
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
pub(super) enum RecordKind {
    /// The bytes of one value.
    Value,
    /// The operations of one group; it closes the group.
    Group,
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

/// The head of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) kind: RecordKind,
    pub(super) codec: Codec,
    /// Sequence number of the group that the record belongs to.
    pub(super) sequence: u64,
    /// Length of the payload in the segment.
    pub(super) stored: u32,
    /// Length of the payload once decoded.
    pub(super) raw: u32,
    /// XXH3 of the payload as stored.
    pub(super) checksum: u64,
}

impl RecordHeader {
    /// Header and payload with its padding, in bytes.
    pub(super) fn span(&self) -> u64 {
        (RECORD_HEADER_BYTES + padded(self.stored as usize)) as u64
    }

    /// Encodes all but what [`stamp`] fills in.
    pub(super) fn encode_unstamped(&self) -> [u8; RECORD_HEADER_BYTES] {
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

    /// Whether bytes look like the begin of a header, before the costlier [`Self::decode`].
    pub(super) fn may_begin_with(bytes: &[u8]) -> bool {
        bytes.starts_with(&RECORD_MAGIC)
    }

    /// Decodes a header of the segment with this salt.
    pub(super) fn decode(bytes: &[u8; RECORD_HEADER_BYTES], salt: u64) -> Result<Self, Damage> {
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
pub(super) fn stamp(header: &mut [u8], sequence: u64, salt: u64) {
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
pub(super) fn payload_checksum(payload: &[u8]) -> u64 {
    xxh3_64(payload)
}

/// One mutation, as a group record names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Op<'a> {
    /// The keyspace's id; for [`Action::Move`] possibly one of the store's own.
    pub(super) keyspace: u32,
    /// The key; the name for [`Action::Define`].
    pub(super) key: &'a [u8],
    /// When what is put expires, in milliseconds since 1970; 0 for never. For [`Action::Expire`]
    /// the expiry that must still stand.
    pub(super) expires: u64,
    pub(super) action: Action<'a>,
}

/// What a mutation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action<'a> {
    /// Stores a small value that stands in the group record itself.
    Inline { codec: Codec, raw: u32, stored: &'a [u8] },
    /// Stores a value that has its own record.
    Record(Placed),
    /// Removes the key.
    Delete,
    /// Gives a keyspace id its name.
    Define,
    /// Stores a value that has its own record and is shared under its hash.
    Hashed(Placed, Hash),
    /// Stores the value that is shared under this hash already.
    Reference(Hash),
    /// The record at `from` has a copy: the row points at it, if it still points at `from`.
    Move { to: Placed, from: Place },
    /// Removes the key if its expiry is still the one given.
    Expire,
}

/// A value's own record, in the group of the operation that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) codec: Codec,
    pub(super) raw: u32,
    pub(super) stored: u32,
    pub(super) offset: RecordOffset,
}

/// Where a value's record begins in the segment of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RecordOffset(pub(super) u64);

/// Where a record begins in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u64,
}

/// Appends one operation to the bytes of a batch. A [`RecordOffset`] counts from the first record
/// of the batch.
pub(super) fn encode_op(out: &mut Vec<u8>, op: &Op<'_>) {
    let none = Placed { codec: Codec::Plain, raw: 0, stored: 0, offset: RecordOffset(0) };
    let (tag, placed) = match op.action {
        Action::Inline { codec, raw, stored } => {
            (1_u8, Placed { codec, raw, stored: length_u32(stored.len()), ..none })
        }
        Action::Record(placed) => (2, placed),
        Action::Delete => (3, none),
        Action::Define => (4, none),
        Action::Hashed(placed, _) => (5, placed),
        Action::Reference(_) => (6, none),
        Action::Move { to, .. } => (7, to),
        Action::Expire => (8, none),
    };
    let slot = u32::try_from(placed.offset.0 / ALIGNMENT as u64)
        .expect("invariant: a batch is at most MAX_BATCH_BYTES long");
    let flags = if op.expires == 0 { 0 } else { FLAG_EXPIRES };
    out.extend_from_slice(&[tag, placed.codec.byte(), flags, 0]);
    out.extend_from_slice(&op.keyspace.to_le_bytes());
    out.extend_from_slice(&length_u32(op.key.len()).to_le_bytes());
    out.extend_from_slice(&placed.stored.to_le_bytes());
    out.extend_from_slice(&placed.raw.to_le_bytes());
    out.extend_from_slice(&slot.to_le_bytes());
    if op.expires != 0 {
        out.extend_from_slice(&op.expires.to_le_bytes());
    }
    match op.action {
        Action::Hashed(_, hash) | Action::Reference(hash) => out.extend_from_slice(&hash),
        Action::Move { from, .. } => {
            out.extend_from_slice(&from.segment.to_le_bytes());
            out.extend_from_slice(&from.offset.to_le_bytes());
        }
        _ => {}
    }
    out.extend_from_slice(op.key);
    if let Action::Inline { stored, .. } = op.action {
        out.extend_from_slice(stored);
    }
}

/// A length that the limits on keys, values and batches keep below 4 GiB.
pub(super) fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("invariant: lengths are limited below 4 GiB")
}

/// The operations of one batch, read from their bytes. Stops after the first damage.
#[derive(Debug, Clone)]
pub(super) struct Ops<'a> {
    reader: Reader<'a>,
    /// Where in the segment the batch's first record begins.
    base: u64,
}

impl<'a> Ops<'a> {
    pub(super) fn new(bytes: &'a [u8], base: u64) -> Self {
        Self { reader: Reader(bytes), base }
    }

    fn read(&mut self) -> Result<Op<'a>, Damage> {
        let reader = &mut self.reader;
        let (tag, codec) = (reader.u8()?, Codec::from_byte(reader.u8()?)?);
        let flags = reader.u8()?;
        if flags & !FLAG_EXPIRES != 0 {
            return Err("unknown flags of an operation");
        }
        reader.take(1)?;
        let (keyspace, key_length) = (reader.u32()?, reader.u32()?);
        let (stored, raw, slot) = (reader.u32()?, reader.u32()?, reader.u32()?);
        let expires = if flags & FLAG_EXPIRES == 0 { 0 } else { reader.u64()? };
        let relative = u64::from(slot) * ALIGNMENT as u64;
        let offset = self.base.checked_add(relative).ok_or("offset out of range")?;
        let placed = Placed { codec, raw, stored, offset: RecordOffset(offset) };
        let mut action = match tag {
            1 => Action::Inline { codec, raw, stored: &[] },
            2 => Action::Record(placed),
            3 => Action::Delete,
            4 => Action::Define,
            5 => Action::Hashed(placed, reader.array()?),
            6 => Action::Reference(reader.array()?),
            7 => {
                let (segment, offset) = (reader.u32()?, reader.u64()?);
                Action::Move { to: placed, from: Place { segment, offset } }
            }
            8 => Action::Expire,
            _ => return Err("unknown operation"),
        };
        let key = reader.take(key_length as usize)?;
        if let Action::Inline { stored: bytes, .. } = &mut action {
            *bytes = reader.take(stored as usize)?;
        }
        Ok(Op { keyspace, key, expires, action })
    }
}

impl<'a> Iterator for Ops<'a> {
    type Item = Result<Op<'a>, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.0.is_empty() {
            return None;
        }
        let op = self.read();
        if op.is_err() {
            self.reader.0 = &[];
        }
        Some(op)
    }
}

/// The payload of a group record.
#[derive(Debug, Clone)]
pub(super) struct GroupPayload<'a> {
    /// The last group known to be durable when this one was written.
    pub(super) flushed: u64,
    /// Where in the segment the group's first record begins.
    pub(super) start: u64,
    batches: u32,
    rest: Reader<'a>,
}

impl<'a> GroupPayload<'a> {
    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut rest = Reader(bytes);
        let (flushed, start, batches) = (rest.u64()?, rest.u64()?, rest.u32()?);
        rest.take(4)?;
        Ok(Self { flushed, start, batches, rest })
    }

    /// The group's batches in their order: where each begins, and the bytes of its operations.
    pub(super) fn parts(&self) -> Result<Vec<(u64, &'a [u8])>, Damage> {
        let mut rest = self.rest;
        let mut parts = Vec::new();
        for _ in 0..self.batches {
            let (base, length) = (rest.u64()?, rest.u32()?);
            rest.take(4)?;
            parts.push((base, rest.take(length as usize)?));
        }
        if rest.0.is_empty() { Ok(parts) } else { Err("bytes after the last batch") }
    }
}

/// Appends the fixed part of a group's payload.
pub(super) fn encode_group(out: &mut Vec<u8>, flushed: u64, start: u64, batches: usize) {
    out.extend_from_slice(&flushed.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&length_u32(batches).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// Appends the head of one batch of a group; the operations' bytes follow it.
pub(super) fn encode_batch_head(out: &mut Vec<u8>, base: u64, ops_length: usize) {
    out.extend_from_slice(&base.to_le_bytes());
    out.extend_from_slice(&length_u32(ops_length).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
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

    use super::*;
    use crate::store::fuzzing::decode_records;

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

    #[test]
    fn a_group_gives_its_operations_back_with_places_in_the_segment() {
        let placed =
            Placed { codec: Codec::Plain, raw: 500, stored: 500, offset: RecordOffset(16) };
        let put = Action::Record(placed);
        let inline = Action::Inline { codec: Codec::Plain, raw: 2, stored: b"ab" };
        let from = Place { segment: 3, offset: 1 << 40 };
        let op = |key: &'static [u8], expires, action| Op { keyspace: 9, key, expires, action };
        let (mut ops, mut payload) = (Vec::new(), Vec::new());
        let written = [
            op(b"k", 0, put),
            op(b"", 0, inline),
            op(b"gone", 0, Action::Delete),
            op(b"late", 77, Action::Expire),
            op(b"h", 5, Action::Hashed(placed, [1; 32])),
            op(b"r", 6, Action::Reference([2; 32])),
            op(b"m", 0, Action::Move { to: placed, from }),
            op(b"new", 0, Action::Define),
        ];
        for op in &written {
            encode_op(&mut ops, op);
        }
        encode_group(&mut payload, 6, 64, 1);
        encode_batch_head(&mut payload, 1000, ops.len());
        payload.extend_from_slice(&ops);
        let group = GroupPayload::decode(&payload).unwrap();
        assert_eq!((group.flushed, group.start), (6, 64));
        let parts = group.parts().unwrap();
        let [(base, bytes)] = parts[..] else { panic!("one batch went in") };
        let found: Vec<_> = Ops::new(bytes, base).map(Result::unwrap).collect();
        let at = Placed { offset: RecordOffset(1016), ..placed };
        let expected = written.map(|op| match op.action {
            Action::Record(_) => Op { action: Action::Record(at), ..op },
            Action::Hashed(_, hash) => Op { action: Action::Hashed(at, hash), ..op },
            Action::Move { from, .. } => Op { action: Action::Move { to: at, from }, ..op },
            _ => op,
        });
        assert_eq!(found, expected);
        payload.pop();
        assert!(GroupPayload::decode(&payload).unwrap().parts().is_err());
    }

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
