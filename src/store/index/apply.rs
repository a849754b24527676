//! Applying the operations of flushed groups.

use std::collections::BTreeSet;
use std::path::Path;

use super::meta::{
    KeyspaceRow, META_KEYSPACE, META_SEGMENT, META_WATERMARK, Meta, SegmentRow, Totals, Watermark,
    encode_segment_row, encode_watermark, meta_key,
};
use super::row::{Pointer, Row, row_key};
use super::{Bytes, META};
use crate::store::error::StoreError;
use crate::store::log::FlushedGroup;
use crate::store::record::{Action, Op, Ops};

/// What a row, a key's share of a branch page and free room in pages take, roughly, beyond the
/// bytes of key and row. Only decides when to checkpoint.
const ROW_OVERHEAD: u64 = 32;

/// All operations of the groups by key, those on one key in the order of the log.
pub(super) fn sorted_ops<'a>(
    groups: &'a [FlushedGroup],
    path: &Path,
) -> Result<Vec<(&'a FlushedGroup, Op<'a>)>, StoreError> {
    let mut ops = Vec::new();
    for group in groups {
        for (base, bytes) in &group.batches {
            for op in Ops::new(bytes, *base) {
                let op =
                    op.map_err(|reason| StoreError::IndexRow { path: path.to_path_buf(), reason })?;
                ops.push((group, op));
            }
        }
    }
    ops.sort_by(|(_, a), (_, b)| (a.keyspace, a.key).cmp(&(b.keyspace, b.key)));
    Ok(ops)
}

/// One transaction's work on the data table, with the counters that go with it.
pub(super) struct Apply<'a> {
    path: &'a Path,
    meta: &'a mut Meta,
    totals: &'a mut Totals,
    touched_segments: BTreeSet<u32>,
    touched_keyspaces: BTreeSet<u32>,
    key: Vec<u8>,
    row: Vec<u8>,
    /// Roughly the bytes changed.
    pub(super) changed: u64,
}

impl<'a> Apply<'a> {
    pub(super) fn new(path: &'a Path, meta: &'a mut Meta, totals: &'a mut Totals) -> Self {
        let (touched_segments, touched_keyspaces) = (BTreeSet::new(), BTreeSet::new());
        let (key, row) = (Vec::new(), Vec::new());
        Self { path, meta, totals, touched_segments, touched_keyspaces, key, row, changed: 0 }
    }

    /// Counts what the groups take of their segments, and moves the watermark.
    pub(super) fn open_segments(&mut self, groups: &[FlushedGroup]) {
        for group in groups {
            let row = self.meta.segments.entry(group.segment).or_insert_with(|| {
                self.totals.segments += 1;
                SegmentRow { salt: group.salt, used: 0, live: 0 }
            });
            self.totals.used += group.end.saturating_sub(row.used);
            row.used = group.end;
            self.touched_segments.insert(group.segment);
            let (segment, offset, sequence) = (group.segment, group.end, group.sequence);
            self.meta.watermark = Watermark { segment, offset, sequence };
            self.totals.sequence = sequence;
        }
    }

    pub(super) fn apply(
        &mut self,
        data: &mut redb::Table<'_, Bytes, Bytes>,
        group: &FlushedGroup,
        op: &Op<'_>,
    ) -> Result<(), StoreError> {
        let row = match op.action {
            Action::Define => return Ok(()),
            Action::Delete => None,
            Action::Inline { codec, raw, stored } => Some(Row::Inline { codec, raw, stored }),
            Action::Record { codec, raw, stored, offset } => {
                let (segment, offset) = (group.segment, offset.0);
                Some(Row::Record(Pointer { segment, offset, stored, raw, codec }))
            }
        };
        row_key(&mut self.key, op.keyspace, op.key);
        self.row.clear();
        let path = self.path;
        let error = |e: redb::StorageError| StoreError::index(path, e);
        let old = match &row {
            Some(row) => {
                row.encode(&mut self.row);
                data.insert(self.key.as_slice(), self.row.as_slice()).map_err(error)?
            }
            None => data.remove(self.key.as_slice()).map_err(error)?,
        };
        let had = old.is_some();
        if let Some(old) = old {
            let damaged = |reason| StoreError::IndexRow { path: path.to_path_buf(), reason };
            if let Row::Record(pointer) = Row::decode(old.value()).map_err(damaged)? {
                self.count_live(&pointer, false);
            }
        }
        if let Some(Row::Record(pointer)) = &row {
            self.count_live(pointer, true);
        }
        self.count_keys(op.keyspace, had, row.is_some());
        if let Some(keyspace) = self.meta.keyspaces.get_mut(&op.keyspace) {
            // Operations come by key, so not in the order of their groups.
            keyspace.changed = keyspace.changed.max(group.sequence);
        }
        self.changed += self.key.len() as u64 + self.row.len() as u64 + ROW_OVERHEAD;
        Ok(())
    }

    pub(super) fn define(&mut self, group: &FlushedGroup, op: &Op<'_>) {
        let name = String::from_utf8_lossy(op.key).into_owned();
        let row = KeyspaceRow { name, keys: 0, changed: group.sequence };
        self.meta.keyspaces.entry(op.keyspace).or_insert(row);
        self.touched_keyspaces.insert(op.keyspace);
        self.changed += ROW_OVERHEAD;
    }

    fn count_live(&mut self, pointer: &Pointer, gained: bool) {
        let Some(row) = self.meta.segments.get_mut(&pointer.segment) else { return };
        let bytes = pointer.footprint();
        for live in [&mut row.live, &mut self.totals.live] {
            *live = if gained { *live + bytes } else { live.saturating_sub(bytes) };
        }
        self.touched_segments.insert(pointer.segment);
    }

    fn count_keys(&mut self, keyspace: u32, had: bool, has: bool) {
        let Some(row) = self.meta.keyspaces.get_mut(&keyspace) else { return };
        match (had, has) {
            (false, true) => row.keys += 1,
            (true, false) => row.keys = row.keys.saturating_sub(1),
            _ => return,
        }
        self.touched_keyspaces.insert(keyspace);
    }

    /// Writes the rows of the meta table that changed.
    pub(super) fn write_meta(
        &mut self,
        transaction: &redb::WriteTransaction,
    ) -> Result<(), redb::Error> {
        let mut table = transaction.open_table(META)?;
        table.insert(META_WATERMARK, encode_watermark(&self.meta.watermark).as_slice())?;
        for id in &self.touched_segments {
            if let Some(row) = self.meta.segments.get(id) {
                let value = encode_segment_row(row);
                table.insert(meta_key(META_SEGMENT, *id).as_slice(), value.as_slice())?;
            }
        }
        for id in &self.touched_keyspaces {
            if let Some(row) = self.meta.keyspaces.get(id) {
                let mut value = row.keys.to_le_bytes().to_vec();
                value.extend_from_slice(row.name.as_bytes());
                table.insert(meta_key(META_KEYSPACE, *id).as_slice(), value.as_slice())?;
            }
        }
        Ok(())
    }
}
