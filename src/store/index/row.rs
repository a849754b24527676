//! Rows of the data table.

use crate::store::record::{Codec, Damage, Hash, Pointer, Reader};

/// The first id of the store's own keyspaces, which come after all others in key order. Their rows
/// belong to rows of the user's keyspaces and change with them.
pub(in crate::store) const FIRST_OWN_ID: u32 = 0xffff_ff00;
/// Dictionaries for compression: keyspace (4), id of the dictionary (4) → its bytes.
pub(in crate::store) const DICTIONARIES_ID: u32 = 0xffff_fffc;
/// Deduplicated values without a reference: row key of the value → nothing.
pub(in crate::store) const ORPHANS_ID: u32 = 0xffff_fffd;
/// Deduplicated values: keyspace (4), hash (32) → pointer and number of references.
pub(in crate::store) const DEDUP_ID: u32 = 0xffff_fffe;
/// What expires when: milliseconds since 1970 (8), row key → nothing.
pub(in crate::store) const EXPIRY_ID: u32 = 0xffff_ffff;

/// Bit of a row's tag: an expiry follows it.
const TAG_EXPIRES: u8 = 0x80;

/// One row of the data table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Row<'a> {
    /// When it expires, in milliseconds since 1970; 0 for never.
    pub(in crate::store) expires: u64,
    pub(in crate::store) body: Body<'a>,
}

/// Where a row's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Body<'a> {
    /// Here.
    Inline { codec: Codec, raw: u32, stored: &'a [u8] },
    /// In a record of its own.
    Record(Pointer),
    /// A deduplicated value, by its hash.
    Reference(Hash),
    /// The row of a deduplicated value: its record, and how many rows refer to it.
    Counted { pointer: Pointer, references: u64 },
}

impl Body<'_> {
    /// A row without content.
    pub(in crate::store) const MARK: Self =
        Self::Inline { codec: Codec::Plain, raw: 0, stored: &[] };

    /// The record that the row itself keeps alive.
    pub(in crate::store) const fn pointer(&self) -> Option<Pointer> {
        match self {
            Self::Record(pointer) | Self::Counted { pointer, .. } => Some(*pointer),
            Self::Inline { .. } | Self::Reference(_) => None,
        }
    }
}

impl<'a> Row<'a> {
    /// Whether the row has expired by `now`.
    pub(in crate::store) const fn is_expired(&self, now: u64) -> bool {
        self.expires != 0 && self.expires <= now
    }

    /// Appends the row: a tag (0 inline, 2 record, 4 reference, 6 counted; +1 if compressed, +128 if
    /// it expires), then its fields.
    pub(in crate::store) fn encode(&self, out: &mut Vec<u8>) {
        let (base, codec, raw) = match self.body {
            Body::Inline { codec, raw, .. } => (0, codec, raw),
            Body::Record(pointer) => (2, pointer.codec, pointer.raw),
            Body::Reference(_) => (4, Codec::Plain, 0),
            Body::Counted { pointer, .. } => (6, pointer.codec, pointer.raw),
        };
        out.push(base + codec.byte() + if self.expires == 0 { 0 } else { TAG_EXPIRES });
        if self.expires != 0 {
            out.extend_from_slice(&self.expires.to_le_bytes());
        }
        if let Some(pointer) = self.body.pointer() {
            out.extend_from_slice(&pointer.segment.to_le_bytes());
            out.extend_from_slice(&pointer.offset.to_le_bytes()[..5]);
            out.extend_from_slice(&pointer.stored.to_le_bytes());
        }
        if codec != Codec::Plain {
            out.extend_from_slice(&raw.to_le_bytes());
        }
        match self.body {
            Body::Inline { stored, .. } => out.extend_from_slice(stored),
            Body::Reference(hash) => out.extend_from_slice(&hash),
            Body::Counted { references, .. } => out.extend_from_slice(&references.to_le_bytes()),
            Body::Record(_) => {}
        }
    }

    pub(in crate::store) fn decode(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut reader = Reader(bytes);
        let tag = reader.u8()?;
        let expires = if tag & TAG_EXPIRES == 0 { 0 } else { reader.u64()? };
        let codec = Codec::from_byte(tag & 1)?;
        let body = match tag & !TAG_EXPIRES {
            0 | 1 => {
                let raw = if codec == Codec::Plain { None } else { Some(reader.u32()?) };
                let stored = reader.0;
                let length = u32::try_from(stored.len()).map_err(|_| "row too long")?;
                Body::Inline { codec, raw: raw.unwrap_or(length), stored }
            }
            2 | 3 => Body::Record(decode_pointer(&mut reader, codec)?),
            4 => Body::Reference(reader.array()?),
            6 | 7 => {
                let pointer = decode_pointer(&mut reader, codec)?;
                Body::Counted { pointer, references: reader.u64()? }
            }
            _ => return Err("unknown row"),
        };
        if tag & TAG_EXPIRES != 0 && expires == 0 {
            return Err("row expires at no time");
        }
        Ok(Self { expires, body })
    }
}

fn decode_pointer(reader: &mut Reader<'_>, codec: Codec) -> Result<Pointer, Damage> {
    let segment = reader.u32()?;
    let mut offset = [0; 8];
    offset[..5].copy_from_slice(reader.take(5)?);
    let (offset, stored) = (u64::from_le_bytes(offset), reader.u32()?);
    let raw = if codec == Codec::Plain { stored } else { reader.u32()? };
    Ok(Pointer { segment, offset, stored, raw, codec })
}

/// The key of a row: the keyspace's id, then the key.
pub(in crate::store) fn row_key(keyspace: u32, key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + key.len());
    out.extend_from_slice(&keyspace.to_be_bytes());
    out.extend_from_slice(key);
    out
}

/// The keyspace and the key of a row key.
pub(in crate::store) fn split_row_key(row_key: &[u8]) -> Option<(u32, &[u8])> {
    let (id, key) = row_key.split_first_chunk::<4>()?;
    Some((u32::from_be_bytes(*id), key))
}

/// The row key of a deduplicated value of a keyspace.
pub(in crate::store) fn dedup_key(keyspace: u32, hash: &Hash) -> Vec<u8> {
    row_key(DEDUP_ID, &[keyspace.to_be_bytes().as_slice(), hash].concat())
}

/// The row key that marks the expiry of the row under `row_key`.
pub(in crate::store) fn expiry_key(expires: u64, row_key: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(12 + row_key.len());
    out.extend_from_slice(&EXPIRY_ID.to_be_bytes());
    out.extend_from_slice(&expires.to_be_bytes());
    out.extend_from_slice(row_key);
    out
}

/// The time and the row key in the key of an expiry row, given without its keyspace's id.
pub(in crate::store) fn split_expiry_key(key: &[u8]) -> Option<(u64, &[u8])> {
    let (expires, row_key) = key.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*expires), row_key))
}
