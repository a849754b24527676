//! States of the index as readers see them.
//!
//! A view is a base and a sequence. It looks a row up in the newest delta, then in the one on its
//! way into the file, then in the file; the newest version at or below the view's sequence counts.
//! Iterators merge the three in both directions and own what they read from.

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

/// What several views share: the index file at one checkpoint, and the rows that came after it.
pub(in crate::store) struct Base {
    pub(super) table: ReadOnlyTable<Bytes, Bytes>,
    pub(super) meta: ReadOnlyTable<Bytes, Bytes>,
    /// Rows that are on their way into the index file.
    pub(in crate::store) frozen: Option<Arc<Delta>>,
    /// Rows of the newest groups.
    pub(in crate::store) active: Arc<Delta>,
    pub(in crate::store) epoch: Arc<Epoch>,
    /// The tables read through it. After a rebuild of the index file it is the last owner.
    _db: Arc<Database>,
}

impl Base {
    /// The state of an index file, with nothing above it.
    pub(super) fn new(db: &Arc<Database>) -> Result<Self, redb::Error> {
        let (table, meta) = tables(db)?;
        let (active, epoch) = (Arc::default(), Arc::default());
        Ok(Self { table, meta, frozen: None, active, epoch, _db: Arc::clone(db) })
    }

    /// The same checkpoint with the newest rows set aside.
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

/// The time between two checkpoints. Each keeps the next, and the segments that the checkpoint at
/// its end retired: a view keeps its base, that its epoch, and that every segment that the view
/// may still point into.
#[derive(Debug, Default)]
pub(in crate::store) struct Epoch {
    pub(in crate::store) retired: Mutex<Vec<Arc<Segment>>>,
    next: OnceLock<Arc<Self>>,
}

/// A view that was kept for long has a long chain behind it; dropping that must not recurse.
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
    pub(in crate::store) figures: Arc<Figures>,
}

/// The counters of a state of the index.
#[derive(Debug, Clone, Default)]
pub(in crate::store) struct Figures {
    pub(super) keyspaces: Vec<KeyspaceFigures>,
    pub(in crate::store) totals: Totals,
}

/// The counters of one keyspace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::store) struct KeyspaceFigures {
    pub(in crate::store) id: u32,
    pub(in crate::store) keys: u64,
    pub(in crate::store) expiring: u64,
    /// Sequence of the last group that changed it.
    pub(in crate::store) changed: u64,
}

impl Figures {
    /// The counters of a keyspace.
    pub(in crate::store) fn keyspace(&self, id: u32) -> KeyspaceFigures {
        let known = self.keyspaces.iter().find(|figures| figures.id == id);
        known.copied().unwrap_or_default()
    }

    /// Number of keys that expire.
    pub(in crate::store) fn expiring(&self) -> u64 {
        self.keyspaces.iter().map(|figures| figures.expiring).sum()
    }
}

impl View {
    /// Hands the row under a key to `read`.
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
        let Self { sequence, figures, .. } = self;
        f.debug_struct("View")
            .field("sequence", sequence)
            .field("figures", figures)
            .finish_non_exhaustive()
    }
}
