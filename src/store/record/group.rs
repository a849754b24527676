//! The payload of a group record: its batches and their operations.

use super::layout::{ALIGNMENT, Codec, Damage, Hash, length_u32};
use super::reader::Reader;

/// Bit of an operation's flags: an expiry follows its head.
const FLAG_EXPIRES: u8 = 1;

/// One mutation, as encoded in a group record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Op<'a> {
    /// The keyspace's id; for [`Action::Move`] possibly one of the store's own.
    pub(in crate::store) keyspace: u32,
    /// The key; the name for [`Action::Define`].
    pub(in crate::store) key: &'a [u8],
    /// When the value expires, in milliseconds since 1970; 0 for never. For [`Action::Expire`], the
    /// expiry that the row must still have.
    pub(in crate::store) expires: u64,
    pub(in crate::store) action: Action<'a>,
}

/// What a mutation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Action<'a> {
    /// Stores a small value, contained in the group record itself.
    Inline { codec: Codec, raw: u32, stored: &'a [u8] },
    /// Stores a value that has its own record.
    Record(Placed),
    /// Removes the key.
    Delete,
    /// Names a keyspace id.
    Define,
    /// Stores a value that has its own record, deduplicated by its hash.
    Hashed(Placed, Hash),
    /// Stores the deduplicated value with this hash, which is there already.
    Reference(Hash),
    /// Points the row to the copy of the record at `from`, if it still points to `from`.
    Move { to: Placed, from: Place },
    /// Removes the key if its expiry is still the one given.
    Expire,
}

/// A value's own record, in the group of the operation that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Placed {
    pub(in crate::store) codec: Codec,
    pub(in crate::store) raw: u32,
    pub(in crate::store) stored: u32,
    pub(in crate::store) offset: RecordOffset,
}

/// Where a value's record begins in the segment of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct RecordOffset(pub(in crate::store) u64);

/// Where a record begins in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Place {
    pub(in crate::store) segment: u32,
    pub(in crate::store) offset: u64,
}

/// Appends one operation to the bytes of a batch. A [`RecordOffset`] counts from the first record
/// of the batch.
pub(in crate::store) fn encode_op(out: &mut Vec<u8>, op: &Op<'_>) {
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

/// The operations of one batch, read from their bytes. Stops after the first damage.
#[derive(Debug, Clone)]
pub(in crate::store) struct Ops<'a> {
    reader: Reader<'a>,
    /// Where in the segment the batch's first record begins.
    base: u64,
}

impl<'a> Ops<'a> {
    pub(in crate::store) fn new(bytes: &'a [u8], base: u64) -> Self {
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
pub(in crate::store) struct GroupPayload<'a> {
    /// The last group known to be durable when this one was written.
    pub(in crate::store) flushed: u64,
    /// Where in the segment the group's first record begins.
    pub(in crate::store) start: u64,
    batches: u32,
    rest: Reader<'a>,
}

impl<'a> GroupPayload<'a> {
    pub(in crate::store) fn decode(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut rest = Reader(bytes);
        let (flushed, start, batches) = (rest.u64()?, rest.u64()?, rest.u32()?);
        rest.take(4)?;
        Ok(Self { flushed, start, batches, rest })
    }

    /// The group's batches in their order: where each begins, and the bytes of its operations.
    pub(in crate::store) fn parts(&self) -> Result<Vec<(u64, &'a [u8])>, Damage> {
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
pub(in crate::store) fn encode_group(out: &mut Vec<u8>, flushed: u64, start: u64, batches: usize) {
    out.extend_from_slice(&flushed.to_le_bytes());
    out.extend_from_slice(&start.to_le_bytes());
    out.extend_from_slice(&length_u32(batches).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

/// Appends the head of one batch of a group; the operations' bytes follow it.
pub(in crate::store) fn encode_batch_head(out: &mut Vec<u8>, base: u64, ops_length: usize) {
    out.extend_from_slice(&base.to_le_bytes());
    out.extend_from_slice(&length_u32(ops_length).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
