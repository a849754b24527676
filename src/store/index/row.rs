//! Rows of the data table.

use crate::store::record::{Codec, Damage, RECORD_HEADER_BYTES, Reader, padded};

/// Where the record of a value lies, and how it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct Pointer {
    pub(in crate::store) segment: u32,
    pub(in crate::store) offset: u64,
    pub(in crate::store) stored: u32,
    pub(in crate::store) raw: u32,
    pub(in crate::store) codec: Codec,
}

impl Pointer {
    /// Bytes of the segment that the record takes.
    pub(in crate::store) fn footprint(&self) -> u64 {
        (RECORD_HEADER_BYTES + padded(self.stored as usize)) as u64
    }
}

/// One row of the data table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Row<'a> {
    Inline { codec: Codec, raw: u32, stored: &'a [u8] },
    Record(Pointer),
}

impl<'a> Row<'a> {
    /// Appends the row: a tag (0 inline, 2 record; +1 if compressed), then its fields.
    pub(in crate::store) fn encode(&self, out: &mut Vec<u8>) {
        let (base, codec, raw) = match self {
            Self::Inline { codec, raw, .. } => (0, *codec, *raw),
            Self::Record(pointer) => (2, pointer.codec, pointer.raw),
        };
        out.push(base + codec.byte());
        if let Self::Record(pointer) = self {
            out.extend_from_slice(&pointer.segment.to_le_bytes());
            out.extend_from_slice(&pointer.offset.to_le_bytes()[..5]);
            out.extend_from_slice(&pointer.stored.to_le_bytes());
        }
        if codec != Codec::Plain {
            out.extend_from_slice(&raw.to_le_bytes());
        }
        if let Self::Inline { stored, .. } = self {
            out.extend_from_slice(stored);
        }
    }

    pub(in crate::store) fn decode(bytes: &'a [u8]) -> Result<Self, Damage> {
        let mut reader = Reader(bytes);
        let tag = reader.u8()?;
        let codec = Codec::from_byte(tag & 1)?;
        match tag {
            0 | 1 => {
                let raw = if codec == Codec::Plain { None } else { Some(reader.u32()?) };
                let stored = reader.0;
                let length = u32::try_from(stored.len()).map_err(|_| "row too long")?;
                Ok(Self::Inline { codec, raw: raw.unwrap_or(length), stored })
            }
            2 | 3 => {
                let segment = reader.u32()?;
                let mut offset = [0; 8];
                offset[..5].copy_from_slice(reader.take(5)?);
                let (offset, stored) = (u64::from_le_bytes(offset), reader.u32()?);
                let raw = if codec == Codec::Plain { stored } else { reader.u32()? };
                Ok(Self::Record(Pointer { segment, offset, stored, raw, codec }))
            }
            _ => Err("unknown row"),
        }
    }
}

/// The key of a row: the keyspace's id, then the key.
pub(in crate::store) fn row_key(out: &mut Vec<u8>, keyspace: u32, key: &[u8]) {
    out.clear();
    out.extend_from_slice(&keyspace.to_be_bytes());
    out.extend_from_slice(key);
}
