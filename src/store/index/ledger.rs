//! What a group means: the rows that it changes, and the counters that go with them.
//!
//! A group is applied to the view before it; the same groups applied to the same view give the same
//! rows, now or in a recovery. Only the time at which an orphaned deduplicated value is dropped
//! does not come from the log: its row may stay longer in one run than in another, which changes no
//! value.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use super::delta::Change;
use super::meta::{KeyspaceRow, Meta, SegmentRow, Totals, Watermark};
use super::row::{
    Body, FIRST_OWN_ID, ORPHANS_ID, Row, dedup_key, expiry_key, row_key, split_row_key,
};
use super::view::{Base, IndexCounts, KeyspaceCounts, View};
use crate::store::commit::dedup::{DedupRegistry, Purge};
use crate::store::error::StoreError;
use crate::store::record::{
    Action, FORMAT_VERSION, Hash, LoggedGroup, MOVE_BYTES, Op, Ops, Placed, Pointer,
};

/// The rows that a group changes.
pub(in crate::store) type Changes = HashMap<Box<[u8]>, Change, foldhash::fast::RandomState>;

/// The counters of the index after the newest group. Owned by the writer.
#[derive(Debug)]
pub(in crate::store) struct Ledger {
    index_path: PathBuf,
    meta: Meta,
    totals: Totals,
    /// Row keys of the deduplicated values without a reference.
    orphans: BTreeSet<Box<[u8]>>,
    dedup: Arc<DedupRegistry>,
}

/// A group while it is applied.
struct GroupApply<'a> {
    ledger: &'a mut Ledger,
    view: &'a View,
    group: &'a LoggedGroup,
    changes: Changes,
}

/// What the counters need of a row.
#[derive(Debug, Clone, Copy, Default)]
struct RowSummary {
    exists: bool,
    expires: u64,
    pointer: Option<Pointer>,
    hash: Option<Hash>,
    references: u64,
}

impl RowSummary {
    const fn of(row: &Row<'_>) -> Self {
        let (hash, references) = match row.body {
            Body::Reference(hash) => (Some(hash), 0),
            Body::Counted { references, .. } => (None, references),
            Body::Inline { .. } | Body::Record(_) => (None, 0),
        };
        let (expires, pointer) = (row.expires, row.body.pointer());
        Self { exists: true, expires, pointer, hash, references }
    }
}

impl Ledger {
    pub(in crate::store) fn new(
        index_path: PathBuf,
        meta: Meta,
        dedup: Arc<DedupRegistry>,
    ) -> Self {
        let totals = meta.totals();
        Self { index_path, meta, totals, orphans: BTreeSet::new(), dedup }
    }

    /// Notes the orphans that an earlier opening left.
    pub(in crate::store) fn adopt(&mut self, dedup_key: &[u8]) {
        self.orphans.insert(dedup_key.into());
    }

    pub(in crate::store) const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Notes the store's time, for the next checkpoint.
    pub(in crate::store) fn set_time(&mut self, now: u64) {
        self.meta.time = self.meta.time.max(now);
    }

    /// The counters, for views.
    pub(in crate::store) fn counts(&self) -> Arc<IndexCounts> {
        let keyspaces = self.meta.keyspaces.iter();
        let keyspaces = keyspaces.map(|(id, row)| {
            let KeyspaceRow { keys, expiring, changed, .. } = *row;
            KeyspaceCounts { id: *id, keys, expiring, changed }
        });
        Arc::new(IndexCounts { keyspaces: keyspaces.collect(), totals: self.totals })
    }

    /// Retires the segments that hold no live record and no group that recovery would read, and
    /// returns their ids.
    pub(in crate::store) fn retire(&mut self) -> Vec<u32> {
        let end = self.meta.watermark.segment;
        let dead = self.meta.segments.iter().filter(|(id, row)| **id < end && row.live == 0);
        let dead: Vec<u32> = dead.map(|(id, _)| *id).collect();
        for id in &dead {
            self.meta.segments.remove(id);
            self.meta.retired.insert(*id);
        }
        if !dead.is_empty() {
            self.totals = self.meta.totals();
        }
        dead
    }

    /// Notes that the files of retired segments are gone.
    pub(in crate::store) fn forget(&mut self, ids: &[u32]) {
        for id in ids {
            self.meta.retired.remove(id);
        }
    }

    /// Applies a group to the view before it, and returns the rows that it changes. After an error
    /// the counters must not be used any more.
    pub(in crate::store) fn apply(
        &mut self,
        view: &View,
        group: &LoggedGroup,
    ) -> Result<Changes, StoreError> {
        self.open_segment(group);
        let mut work = GroupApply { ledger: self, view, group, changes: Changes::default() };
        for batch in &group.batches {
            for op in Ops::new(&batch.ops, batch.base) {
                let op = op.map_err(|reason| work.damaged(reason))?;
                work.apply(&op)?;
            }
        }
        Ok(work.changes)
    }

    /// Drops the orphans that no batch in flight refers to, as part of the group just applied. The
    /// rows must be published before the purge returned is dropped.
    pub(in crate::store) fn purge_orphans(
        &mut self,
        view: &View,
        group: &LoggedGroup,
        changes: &mut Changes,
    ) -> Result<Option<Purge>, StoreError> {
        if self.orphans.is_empty() {
            return Ok(None);
        }
        let orphans: Vec<_> = self.orphans.iter().cloned().collect();
        let purge = self.dedup.purge(orphans);
        let taken = std::mem::take(changes);
        let mut work = GroupApply { ledger: self, view, group, changes: taken };
        for key in purge.keys() {
            work.set(key, None)?;
            work.set(&row_key(ORPHANS_ID, key), None)?;
            work.ledger.orphans.remove(&**key);
        }
        *changes = work.changes;
        Ok(Some(purge))
    }

    /// Counts the group's bytes in its segment, and moves the watermark.
    fn open_segment(&mut self, group: &LoggedGroup) {
        let row = self.meta.segments.entry(group.segment).or_insert_with(|| {
            self.totals.segments += 1;
            SegmentRow { salt: group.salt, used: 0, live: 0, ops: 0 }
        });
        let grown = group.end.saturating_sub(row.used);
        self.totals.used = self.totals.used.saturating_add(grown);
        row.used = group.end;
        let (segment, offset, sequence) = (group.segment, group.end, group.sequence);
        self.meta.watermark = Watermark { segment, offset, sequence };
        self.totals.sequence = sequence;
    }

    fn count_live(&mut self, row_key: &[u8], pointer: &Pointer, gained: bool) {
        let Some(row) = self.meta.segments.get_mut(&pointer.segment) else { return };
        let (bytes, op) = (pointer.footprint(), op_bytes(row_key));
        let count = |sum: &mut u64, bytes| {
            *sum = if gained { sum.saturating_add(bytes) } else { sum.saturating_sub(bytes) };
        };
        count(&mut row.live, bytes);
        count(&mut self.totals.live, bytes);
        count(&mut row.ops, op);
        count(&mut self.totals.ops, op);
    }

    /// Counts what format 1 did not store.
    pub(in crate::store) fn upgrade(&mut self, base: &Base) -> Result<(), StoreError> {
        if self.meta.format >= FORMAT_VERSION {
            return Ok(());
        }
        let error = |error| StoreError::index(&self.index_path, error);
        for row in base.rows().map_err(error)? {
            let (key, row) = row.map_err(error)?;
            let pointer = Row::decode(row.value()).map(|row| row.body.pointer());
            let segment = pointer.ok().flatten().map(|pointer| pointer.segment);
            if let Some(row) = segment.and_then(|id| self.meta.segments.get_mut(&id)) {
                row.ops += op_bytes(key.value());
            }
        }
        self.meta.format = FORMAT_VERSION;
        self.totals = self.meta.totals();
        Ok(())
    }
}

/// Bytes of the operation that moves the record of a row.
pub(in crate::store) fn op_bytes(row_key: &[u8]) -> u64 {
    (MOVE_BYTES + row_key.len()) as u64
}

impl GroupApply<'_> {
    fn damaged(&self, reason: &'static str) -> StoreError {
        StoreError::IndexRow { path: self.ledger.index_path.clone(), reason }
    }

    fn apply(&mut self, op: &Op<'_>) -> Result<(), StoreError> {
        if op.action == Action::Define {
            return self.define(op);
        }
        let key = row_key(op.keyspace, op.key);
        let expires = op.expires;
        let pointer = |placed: &Placed| Pointer::new(self.group.segment, placed);
        let body = match op.action {
            Action::Define => return Ok(()),
            Action::Inline { codec, raw, stored } => Body::Inline { codec, raw, stored },
            Action::Record(placed) => Body::Record(pointer(&placed)),
            Action::Hashed(placed, hash) => {
                let pointer = pointer(&placed);
                self.refer(op.keyspace, &hash, Some(pointer))?;
                Body::Reference(hash)
            }
            Action::Reference(hash) => {
                self.refer(op.keyspace, &hash, None)?;
                Body::Reference(hash)
            }
            Action::Delete => {
                self.touch(op.keyspace);
                return self.set(&key, None);
            }
            Action::Expire => {
                if expires != 0 && self.current(&key)?.expires == expires {
                    self.touch(op.keyspace);
                    self.set(&key, None)?;
                }
                return Ok(());
            }
            Action::Move { to, from } => {
                let current = self.current(&key)?;
                if current.pointer.is_none_or(|pointer| pointer.place() != from) {
                    return Ok(());
                }
                let (expires, references) = (current.expires, current.references);
                let pointer = pointer(&to);
                let counted = super::row::DEDUP_ID == op.keyspace;
                let body = if counted {
                    Body::Counted { pointer, references }
                } else {
                    Body::Record(pointer)
                };
                return self.set(&key, Some(Row { expires, body }));
            }
        };
        self.touch(op.keyspace);
        self.set(&key, Some(Row { expires, body }))
    }

    fn define(&mut self, op: &Op<'_>) -> Result<(), StoreError> {
        let name = String::from_utf8(op.key.to_vec());
        let name = name.map_err(|_| self.damaged("name of a keyspace is not UTF-8"))?;
        if op.keyspace >= FIRST_OWN_ID {
            return Err(self.damaged("id of a keyspace is the store's own"));
        }
        let changed = self.group.sequence;
        let row = KeyspaceRow { name, keys: 0, expiring: 0, changed };
        self.ledger.meta.keyspaces.entry(op.keyspace).or_insert(row);
        Ok(())
    }

    fn touch(&mut self, keyspace: u32) {
        if let Some(row) = self.ledger.meta.keyspaces.get_mut(&keyspace) {
            row.changed = self.group.sequence;
        }
    }

    /// The row under a row key now. A damaged row counts as one that points nowhere, so that it can
    /// be replaced and does not block other writes. Its record stays counted as live.
    fn current(&self, key: &[u8]) -> Result<RowSummary, StoreError> {
        let decode = |row: Option<&[u8]>| match row.map(Row::decode) {
            None => RowSummary::default(),
            Some(Ok(row)) => RowSummary::of(&row),
            Some(Err(damage)) => {
                let path = self.ledger.index_path.display();
                tracing::error!(%path, key = %key.escape_ascii(), damage, "damaged row replaced");
                RowSummary { exists: true, ..RowSummary::default() }
            }
        };
        if let Some(change) = self.changes.get(key) {
            return Ok(decode(change.as_deref()));
        }
        let read = self.view.row(key, decode);
        read.map_err(|error| StoreError::index(&self.ledger.index_path, error))
    }

    /// Replaces a row, and updates the counters.
    fn set(&mut self, key: &[u8], row: Option<Row<'_>>) -> Result<(), StoreError> {
        let old = self.current(key)?;
        let new = row.as_ref().map_or_else(RowSummary::default, RowSummary::of);
        if !old.exists && !new.exists {
            return Ok(());
        }
        let bytes = row.map(|row| {
            let mut bytes = Vec::new();
            row.encode(&mut bytes);
            Arc::from(bytes)
        });
        self.changes.insert(key.into(), bytes);
        if let Some(pointer) = &old.pointer {
            self.ledger.count_live(key, pointer, false);
        }
        if let Some(pointer) = &new.pointer {
            self.ledger.count_live(key, pointer, true);
        }
        let Some((keyspace, _)) = split_row_key(key) else { return Ok(()) };
        if let Some(row) = self.ledger.meta.keyspaces.get_mut(&keyspace) {
            let count = |count: &mut u64, had: bool, has: bool| match (had, has) {
                (false, true) => *count += 1,
                (true, false) => *count = count.saturating_sub(1),
                _ => {}
            };
            count(&mut row.keys, old.exists, new.exists);
            count(&mut row.expiring, old.expires != 0, new.expires != 0);
        }
        if old.expires != new.expires {
            if old.expires != 0 {
                self.set(&expiry_key(old.expires, key), None)?;
            }
            if new.expires != 0 {
                let mark = Row { expires: 0, body: Body::MARK };
                self.set(&expiry_key(new.expires, key), Some(mark))?;
            }
        }
        // Released only after the new row took its reference, so that a value put again does not
        // become an orphan in between.
        if let Some(hash) = &old.hash {
            self.release(keyspace, hash)?;
        }
        Ok(())
    }

    /// Counts one more reference to a deduplicated value. Its record is `own` if the value is new.
    fn refer(
        &mut self,
        keyspace: u32,
        hash: &Hash,
        own: Option<Pointer>,
    ) -> Result<(), StoreError> {
        let key = dedup_key(keyspace, hash);
        let current = self.current(&key)?;
        let Some(pointer) = current.pointer.or(own) else {
            return Err(self.damaged("refers to a deduplicated value that is missing"));
        };
        let references = current.references + 1;
        self.set(&key, Some(Row { expires: 0, body: Body::Counted { pointer, references } }))?;
        if current.exists && current.references == 0 {
            self.ledger.orphans.remove(key.as_slice());
            self.set(&row_key(ORPHANS_ID, &key), None)?;
        }
        Ok(())
    }

    /// Counts one reference less. Without any, the value becomes an orphan.
    fn release(&mut self, keyspace: u32, hash: &Hash) -> Result<(), StoreError> {
        let key = dedup_key(keyspace, hash);
        let current = self.current(&key)?;
        let Some(pointer) = current.pointer else {
            tracing::error!(key = %key.escape_ascii(), "deduplicated value is missing");
            return Ok(());
        };
        let references = current.references.saturating_sub(1);
        self.set(&key, Some(Row { expires: 0, body: Body::Counted { pointer, references } }))?;
        if references == 0 {
            self.ledger.orphans.insert(key.as_slice().into());
            let mark = Row { expires: 0, body: Body::MARK };
            self.set(&row_key(ORPHANS_ID, &key), Some(mark))?;
        }
        Ok(())
    }
}
