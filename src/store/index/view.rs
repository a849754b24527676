//! States of the index as readers see them.
//!
//! A view is a base and a sequence. It looks a row up in the newest delta, then in the frozen one
//! that a checkpoint is writing, then in the file. The newest version at or below the view's
//! sequence counts.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use redb::{Database, ReadOnlyTable, ReadableTable};

use super::delta::Delta;
use super::meta::{Meta, Totals, read_meta};
use super::tables::{Bytes, tables};
use crate::store::error::StoreError;
use crate::store::segment::Segment;

/// The common part of several views: the index file at one checkpoint, and the rows after it.
pub(in crate::store) struct Base {
    pub(super) table: ReadOnlyTable<Bytes, Bytes>,
    pub(super) meta: ReadOnlyTable<Bytes, Bytes>,
    /// Rows that a checkpoint is writing to the index file.
    pub(in crate::store) frozen: Option<Arc<Delta>>,
    /// Rows of the newest groups.
    pub(in crate::store) active: Arc<Delta>,
    pub(in crate::store) epoch: Arc<Epoch>,
    /// The tables read through it. After the index file is rewritten, this may be its last owner.
    _db: Arc<Database>,
}

impl Base {
    /// The state of an index file, with nothing above it.
    pub(super) fn new(db: &Arc<Database>) -> Result<Self, redb::Error> {
        let (table, meta) = tables(db)?;
        let (active, epoch) = (Arc::default(), Arc::default());
        Ok(Self { table, meta, frozen: None, active, epoch, _db: Arc::clone(db) })
    }

    /// The same checkpoint with the newest rows frozen.
    pub(in crate::store) fn freeze(&self, db: &Arc<Database>) -> Result<Self, redb::Error> {
        let (table, meta) = tables(db)?;
        let (frozen, active) = (Some(Arc::clone(&self.active)), Arc::default());
        let epoch = Arc::clone(&self.epoch);
        Ok(Self { table, meta, frozen, active, epoch, _db: Arc::clone(db) })
    }

    /// A new checkpoint under the newest rows, in a new epoch that follows the old one.
    pub(in crate::store) fn rebase(&self, db: &Arc<Database>) -> Result<Self, redb::Error> {
        let (table, meta) = tables(db)?;
        let epoch = Arc::<Epoch>::default();
        // Set once: only the newest base is rebased, and by one thread.
        let _already_set = self.epoch.next.set(Arc::clone(&epoch));
        let active = Arc::clone(&self.active);
        Ok(Self { table, meta, frozen: None, active, epoch, _db: Arc::clone(db) })
    }

    /// The rows of the index file, without those that came after the checkpoint.
    pub(in crate::store) fn rows(
        &self,
    ) -> Result<redb::Range<'_, Bytes, Bytes>, redb::StorageError> {
        self.table.iter()
    }

    /// The index file's meta table, without the rows that came after the checkpoint.
    pub(in crate::store) fn read_meta(&self, path: &Path) -> Result<Meta, StoreError> {
        read_meta(&self.meta, path)
    }
}

/// The time between two checkpoints. An epoch owns the next one, and the segments retired at its
/// end. A view owns its base, a base its epoch: so a view owns every segment that it may point
/// into.
#[derive(Debug, Default)]
pub(in crate::store) struct Epoch {
    pub(in crate::store) retired: Mutex<Vec<Arc<Segment>>>,
    next: OnceLock<Arc<Self>>,
}

/// An old view has a long chain of epochs. Dropping it must not recurse.
impl Drop for Epoch {
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut epoch) = next.and_then(Arc::into_inner) {
            next = epoch.next.take();
        }
    }
}

/// A state of the index, fixed when it was taken. Cheap to clone.
#[derive(Clone)]
pub(in crate::store) struct View {
    pub(in crate::store) base: Arc<Base>,
    /// Groups above it do not show.
    pub(in crate::store) sequence: u64,
    pub(in crate::store) counts: Arc<IndexCounts>,
}

/// The counters of a state of the index.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct IndexCounts {
    pub(super) keyspaces: Vec<KeyspaceCounts>,
    pub(in crate::store) totals: Totals,
}

/// The counters of one keyspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct KeyspaceCounts {
    pub(in crate::store) id: u32,
    pub(in crate::store) keys: u64,
    pub(in crate::store) expiring: u64,
    /// Sequence of the last group that changed it.
    pub(in crate::store) changed: u64,
}

impl IndexCounts {
    /// The counters of a keyspace.
    pub(in crate::store) fn keyspace(&self, id: u32) -> KeyspaceCounts {
        let known = self.keyspaces.iter().find(|counts| counts.id == id);
        known.copied().unwrap_or_default()
    }

    /// Number of keys that expire.
    pub(in crate::store) fn expiring(&self) -> u64 {
        self.keyspaces.iter().map(|counts| counts.expiring).sum()
    }
}

impl View {
    /// Calls `read` with the row under a key.
    pub(in crate::store) fn row<T>(
        &self,
        key: &[u8],
        read: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<T, redb::StorageError> {
        let base = &*self.base;
        for delta in std::iter::once(&base.active).chain(&base.frozen) {
            if let Some(change) = delta.get(key, self.sequence) {
                return Ok(read(change.as_deref()));
            }
        }
        let row = base.table.get(key)?;
        Ok(read(row.as_ref().map(redb::AccessGuard::value)))
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sequence, counts, .. } = self;
        f.debug_struct("View")
            .field("sequence", sequence)
            .field("counts", counts)
            .finish_non_exhaustive()
    }
}
