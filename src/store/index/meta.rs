//! The meta table: the watermark, the segments and the keyspaces.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use redb::{ReadOnlyTable, ReadableTable};

use super::Bytes;
use crate::store::error::StoreError;
use crate::store::record::{Damage, FORMAT_VERSION, Reader};

pub(in crate::store) const META_FORMAT: &[u8] = b"format";
pub(in crate::store) const META_WATERMARK: &[u8] = b"watermark";
pub(in crate::store) const META_SEGMENT: u8 = b's';
pub(in crate::store) const META_KEYSPACE: u8 = b'k';

/// Up to where the log has been applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct Watermark {
    /// Segment of the last group applied; 0 if there is none yet.
    pub(in crate::store) segment: u32,
    /// Where that group ends.
    pub(in crate::store) offset: u64,
    /// Its sequence number; 0 if there is none yet.
    pub(in crate::store) sequence: u64,
}

/// What the index knows of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct SegmentRow {
    pub(in crate::store) salt: u64,
    /// Where its last applied group ends.
    pub(in crate::store) used: u64,
    /// Bytes of its records that a key points at.
    pub(in crate::store) live: u64,
}

/// What the index knows of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct KeyspaceRow {
    pub(in crate::store) name: String,
    pub(in crate::store) keys: u64,
    /// Sequence of the last group that changed it. Not stored: after an opening it is that of the
    /// last group of all.
    pub(in crate::store) changed: u64,
}

/// The content of the meta table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::store) struct Meta {
    pub(in crate::store) watermark: Watermark,
    pub(in crate::store) segments: BTreeMap<u32, SegmentRow>,
    pub(in crate::store) keyspaces: BTreeMap<u32, KeyspaceRow>,
}

/// Sums over all segments, and how far the log was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct Totals {
    pub(in crate::store) segments: u64,
    pub(in crate::store) live: u64,
    pub(in crate::store) used: u64,
    pub(in crate::store) sequence: u64,
}

impl Meta {
    pub(in crate::store) fn totals(&self) -> Totals {
        Totals {
            segments: self.segments.len() as u64,
            live: self.segments.values().map(|row| row.live).sum(),
            used: self.segments.values().map(|row| row.used).sum(),
            sequence: self.watermark.sequence,
        }
    }
}

pub(in crate::store) fn read_meta(
    table: &ReadOnlyTable<Bytes, Bytes>,
    path: &Path,
) -> Result<Meta, StoreError> {
    let mut rows = HashMap::new();
    let mut read = || -> Result<(), redb::Error> {
        for row in table.iter()? {
            let (key, value) = row?;
            rows.insert(key.value().to_vec(), value.value().to_vec());
        }
        Ok(())
    };
    read().map_err(|e| StoreError::index(path, e))?;
    let damaged = |reason| StoreError::IndexRow { path: path.to_path_buf(), reason };
    let format = rows.get(META_FORMAT).ok_or("no format version");
    let found = format.and_then(|bytes| Reader(bytes).u32()).map_err(damaged)?;
    if found > FORMAT_VERSION {
        let path = path.to_path_buf();
        return Err(StoreError::FormatTooNew { path, found, supported: FORMAT_VERSION });
    }
    decode_meta(&rows).map_err(damaged)
}

fn decode_meta(rows: &HashMap<Vec<u8>, Vec<u8>>) -> Result<Meta, Damage> {
    let mut meta = Meta::default();
    for (key, value) in rows {
        let mut reader = Reader(value);
        if key == META_WATERMARK {
            let (segment, offset, sequence) = (reader.u32()?, reader.u64()?, reader.u64()?);
            meta.watermark = Watermark { segment, offset, sequence };
        } else if let [kind, a, b, c, d] = key[..] {
            let id = u32::from_be_bytes([a, b, c, d]);
            if kind == META_SEGMENT {
                let (salt, used, live) = (reader.u64()?, reader.u64()?, reader.u64()?);
                meta.segments.insert(id, SegmentRow { salt, used, live });
            } else if kind == META_KEYSPACE {
                let keys = reader.u64()?;
                let name = String::from_utf8(reader.0.to_vec()).map_err(|_| "name not UTF-8")?;
                meta.keyspaces.insert(id, KeyspaceRow { name, keys, changed: 0 });
            }
        }
    }
    for row in meta.keyspaces.values_mut() {
        row.changed = meta.watermark.sequence;
    }
    Ok(meta)
}

pub(in crate::store) fn meta_key(kind: u8, id: u32) -> [u8; 5] {
    let [a, b, c, d] = id.to_be_bytes();
    [kind, a, b, c, d]
}

pub(in crate::store) fn encode_watermark(mark: &Watermark) -> Vec<u8> {
    let mut out = mark.segment.to_le_bytes().to_vec();
    out.extend_from_slice(&mark.offset.to_le_bytes());
    out.extend_from_slice(&mark.sequence.to_le_bytes());
    out
}

pub(in crate::store) fn encode_segment_row(row: &SegmentRow) -> Vec<u8> {
    [row.salt, row.used, row.live].iter().flat_map(|field| field.to_le_bytes()).collect()
}
