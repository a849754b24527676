//! The segments of a store by id, and how readers hold them.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};

use crossbeam_utils::CachePadded;
use crossbeam_utils::sync::ShardedLock;

use super::file::Segment;
use crate::store::stats::{STRIPES, stripe};

/// A reader's hold on a segment. The map and the file stay until the last one is dropped.
#[derive(Debug)]
pub(in crate::store) struct Lease {
    pub(in crate::store) segment: Arc<Segment>,
}

/// A segment in the table.
#[derive(Debug)]
enum Entry {
    /// One lease for each stripe of threads, so that readers do not contend for one reference
    /// count.
    Open { segment: Arc<Segment>, leases: Box<[CachePadded<Arc<Lease>>]> },
    /// Read only by views from before its retirement.
    Retired(Weak<Segment>),
}

/// The readable segments by id. The lock is sharded, so that readers do not contend for it.
#[derive(Debug, Default)]
pub(in crate::store) struct Segments {
    by_id: ShardedLock<HashMap<u32, Entry>>,
}

impl Segments {
    pub(in crate::store) fn insert(&self, segment: Arc<Segment>) {
        let lease = || CachePadded::new(Arc::new(Lease { segment: Arc::clone(&segment) }));
        let leases = (0..STRIPES).map(|_| lease()).collect();
        let id = segment.id;
        let entry = Entry::Open { segment, leases };
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).insert(id, entry);
    }

    pub(in crate::store) fn get(&self, id: u32) -> Option<Arc<Segment>> {
        match self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id)? {
            Entry::Open { segment, .. } => Some(Arc::clone(segment)),
            Entry::Retired(segment) => segment.upgrade(),
        }
    }

    /// A hold on a segment for reading.
    pub(in crate::store) fn lease(&self, id: u32) -> Option<Arc<Lease>> {
        match self.by_id.read().unwrap_or_else(PoisonError::into_inner).get(&id)? {
            Entry::Open { leases, .. } => leases.get(stripe()).map(|lease| Arc::clone(lease)),
            Entry::Retired(segment) => Some(Arc::new(Lease { segment: segment.upgrade()? })),
        }
    }

    /// Retires a segment. Its file is removed when the segment returned and all leases are dropped.
    /// Until then older views find it here.
    pub(in crate::store) fn retire(&self, id: u32) -> Option<Arc<Segment>> {
        let mut by_id = self.by_id.write().unwrap_or_else(PoisonError::into_inner);
        let Some(Entry::Open { segment, .. }) = by_id.get(&id) else { return None };
        let segment = Arc::clone(segment);
        segment.retire();
        by_id.insert(id, Entry::Retired(Arc::downgrade(&segment)));
        Some(segment)
    }

    /// Forgets a segment whose file is gone.
    pub(in crate::store) fn forget(&self, id: u32) {
        self.by_id.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Removes all segments, so that each map is released with its last reader.
    pub(in crate::store) fn drain(&self) -> Vec<Arc<Segment>> {
        let entries =
            std::mem::take(&mut *self.by_id.write().unwrap_or_else(PoisonError::into_inner));
        let open = entries.into_values().filter_map(|entry| match entry {
            Entry::Open { segment, .. } => Some(segment),
            Entry::Retired(_) => None,
        });
        open.collect()
    }
}
