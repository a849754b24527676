//! The meta table: the watermark, the segments and the keyspaces.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use redb::{ReadOnlyTable, ReadableTable};

use super::tables::Bytes;
use crate::store::error::StoreError;
use crate::store::record::{Damage, FORMAT_VERSION, Reader};

const META_FORMAT: &[u8] = b"format";
const META_WATERMARK: &[u8] = b"watermark";
const META_TIME: &[u8] = b"time";
const META_SEGMENT: u8 = b's';
const META_KEYSPACE: u8 = b'k';
const META_EXPIRING: u8 = b'e';
const META_RETIRED: u8 = b'r';

/// How far the log has been applied.
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
    /// Bytes of its records that rows point to.
    pub(in crate::store) live: u64,
    /// Bytes of the operations that would move those records. Together they are what the live
    /// records would take elsewhere.
    pub(in crate::store) ops: u64,
}

impl SegmentRow {
    /// Bytes that moving the live records would free.
    pub(in crate::store) const fn dead(&self) -> u64 {
        self.used.saturating_sub(self.live.saturating_add(self.ops))
    }
}

/// What the index knows of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct KeyspaceRow {
    pub(in crate::store) name: String,
    pub(in crate::store) keys: u64,
    /// Number of keys that expire.
    pub(in crate::store) expiring: u64,
    /// Sequence of the last group that changed it. Not stored: after an opening it is that of the
    /// last group of all.
    pub(in crate::store) changed: u64,
}

/// The content of the meta table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::store) struct Meta {
    /// Format version of the table that was read. Tables are written in the current one.
    pub(in crate::store) format: u32,
    pub(in crate::store) watermark: Watermark,
    /// The latest time used by the store, in milliseconds since 1970.
    pub(in crate::store) time: u64,
    pub(in crate::store) segments: BTreeMap<u32, SegmentRow>,
    pub(in crate::store) keyspaces: BTreeMap<u32, KeyspaceRow>,
    /// Segments without a live record whose files may still be there.
    pub(in crate::store) retired: BTreeSet<u32>,
}

/// Sums over all segments, and how far the log was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::store) struct Totals {
    pub(in crate::store) segments: u64,
    pub(in crate::store) live: u64,
    pub(in crate::store) ops: u64,
    pub(in crate::store) used: u64,
    pub(in crate::store) sequence: u64,
}

impl Meta {
    pub(in crate::store) fn totals(&self) -> Totals {
        Totals {
            segments: self.segments.len() as u64,
            live: self.sum(|row| row.live),
            ops: self.sum(|row| row.ops),
            used: self.sum(|row| row.used),
            sequence: self.watermark.sequence,
        }
    }

    fn sum(&self, count: impl Fn(&SegmentRow) -> u64) -> u64 {
        self.segments.values().map(count).fold(0, u64::saturating_add)
    }

    /// The rows of the table.
    fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let mut rows = BTreeMap::new();
        rows.insert(META_FORMAT.to_vec(), FORMAT_VERSION.to_le_bytes().to_vec());
        rows.insert(META_TIME.to_vec(), self.time.to_le_bytes().to_vec());
        let mark = &self.watermark;
        let mut value = mark.segment.to_le_bytes().to_vec();
        value.extend_from_slice(&mark.offset.to_le_bytes());
        value.extend_from_slice(&mark.sequence.to_le_bytes());
        rows.insert(META_WATERMARK.to_vec(), value);
        for (id, row) in &self.segments {
            let fields = [row.salt, row.used, row.live, row.ops];
            let value = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
            rows.insert(meta_key(META_SEGMENT, *id), value);
        }
        for (id, row) in &self.keyspaces {
            let mut value = row.keys.to_le_bytes().to_vec();
            value.extend_from_slice(row.name.as_bytes());
            rows.insert(meta_key(META_KEYSPACE, *id), value);
            if row.expiring > 0 {
                rows.insert(meta_key(META_EXPIRING, *id), row.expiring.to_le_bytes().to_vec());
            }
        }
        for id in &self.retired {
            rows.insert(meta_key(META_RETIRED, *id), Vec::new());
        }
        rows
    }

    /// Brings the table from `before` to this state.
    pub(super) fn write(
        &self,
        before: &Self,
        table: &mut redb::Table<'_, Bytes, Bytes>,
    ) -> Result<(), redb::StorageError> {
        let (mut old, new) = (before.rows(), self.rows());
        for (key, value) in &new {
            // The format row is always written: `before` may have been read from an older version.
            if old.remove(key).as_ref() != Some(value) || key == META_FORMAT {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        for key in old.keys() {
            table.remove(key.as_slice())?;
        }
        Ok(())
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
    let meta = decode_meta(&rows).map_err(damaged)?;
    Ok(Meta { format: found, ..meta })
}

fn decode_meta(rows: &HashMap<Vec<u8>, Vec<u8>>) -> Result<Meta, Damage> {
    let (mut meta, mut expiring) = (Meta::default(), HashMap::new());
    for (key, value) in rows {
        let mut reader = Reader(value);
        if key == META_WATERMARK {
            let (segment, offset, sequence) = (reader.u32()?, reader.u64()?, reader.u64()?);
            meta.watermark = Watermark { segment, offset, sequence };
        } else if key == META_TIME {
            meta.time = reader.u64()?;
        } else if let [kind, a, b, c, d] = key[..] {
            let id = u32::from_be_bytes([a, b, c, d]);
            match kind {
                META_SEGMENT => {
                    let (salt, used, live) = (reader.u64()?, reader.u64()?, reader.u64()?);
                    // Format 1 had no such field; `Ledger::upgrade` counts it.
                    let ops = if reader.0.is_empty() { 0 } else { reader.u64()? };
                    meta.segments.insert(id, SegmentRow { salt, used, live, ops });
                }
                META_KEYSPACE => {
                    let keys = reader.u64()?;
                    let name = String::from_utf8(reader.0.to_vec());
                    let name = name.map_err(|_| "name not UTF-8")?;
                    let row = KeyspaceRow { name, keys, expiring: 0, changed: 0 };
                    meta.keyspaces.insert(id, row);
                }
                META_EXPIRING => {
                    expiring.insert(id, reader.u64()?);
                }
                META_RETIRED => {
                    meta.retired.insert(id);
                }
                _ => return Err("unknown row of the meta table"),
            }
        }
    }
    for (id, row) in &mut meta.keyspaces {
        row.changed = meta.watermark.sequence;
        row.expiring = expiring.get(id).copied().unwrap_or(0);
    }
    Ok(meta)
}

fn meta_key(kind: u8, id: u32) -> Vec<u8> {
    let [a, b, c, d] = id.to_be_bytes();
    vec![kind, a, b, c, d]
}
