//! Rows that are durable in the log and not yet in the index file.
//!
//! Groups become visible here, in memory. The rows of many groups then go into `redb` in one
//! durable transaction. Each row carries the sequence of its group, so a view finds the rows of its
//! own sequence while later groups are added.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// Approximate memory of a row beyond the bytes of key and row.
const ROW_OVERHEAD: u64 = 96;

/// A row as written by a group: `None` if it was removed.
pub(in crate::store) type Change = Option<Arc<[u8]>>;

/// An end of a range of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum End {
    /// The smallest key.
    Front,
    /// The largest.
    Back,
}

/// Rows in the order of their keys, each with its versions.
#[derive(Debug, Default)]
pub(in crate::store) struct Delta {
    rows: RwLock<BTreeMap<Box<[u8]>, Version>>,
    /// Approximate memory taken. Relaxed: it only decides when the rows are written out.
    bytes: AtomicU64,
}

#[derive(Debug)]
struct Version {
    sequence: u64,
    row: Change,
    older: Option<Box<Version>>,
}

impl Version {
    /// The newest version that a view at `sequence` sees.
    fn at(&self, sequence: u64) -> Option<&Self> {
        let mut version = self;
        while version.sequence > sequence {
            version = version.older.as_deref()?;
        }
        Some(version)
    }
}

/// A key has as many versions as it had writes. Dropping a long chain must not recurse.
impl Drop for Version {
    fn drop(&mut self) {
        let mut next = self.older.take();
        while let Some(mut version) = next {
            next = version.older.take();
        }
    }
}

impl Delta {
    /// What a view at `sequence` finds under a key; `None` if the delta has nothing for it.
    pub(in crate::store) fn get(&self, key: &[u8], sequence: u64) -> Option<Change> {
        let rows = self.rows.read();
        Some(rows.get(key)?.at(sequence)?.row.clone())
    }

    /// Adds the rows of group `sequence`, which must be higher than all before.
    pub(in crate::store) fn insert(
        &self,
        sequence: u64,
        changes: impl Iterator<Item = (Box<[u8]>, Change)>,
    ) {
        let mut grown = 0;
        let mut rows = self.rows.write();
        for (key, row) in changes {
            grown += row.as_ref().map_or(0, |row| row.len()) as u64 + ROW_OVERHEAD;
            match rows.entry(key) {
                std::collections::btree_map::Entry::Vacant(entry) => {
                    grown += entry.key().len() as u64;
                    entry.insert(Version { sequence, row, older: None });
                }
                std::collections::btree_map::Entry::Occupied(mut entry) => {
                    let newest = Version { sequence, row, older: None };
                    let older = std::mem::replace(entry.get_mut(), newest);
                    entry.get_mut().older = Some(Box::new(older));
                }
            }
        }
        drop(rows);
        self.bytes.fetch_add(grown, Ordering::Relaxed);
    }

    /// Approximate memory taken, in bytes.
    pub(in crate::store) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Up to `limit` rows between the bounds, beginning at one end, as a view at `sequence` sees
    /// them; removals included.
    pub(in crate::store) fn chunk(
        &self,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        end: End,
        sequence: u64,
        limit: usize,
    ) -> Vec<(Box<[u8]>, Change)> {
        let rows = self.rows.read();
        let range = rows.range::<[u8], _>(bounds);
        let seen = range.filter_map(|(key, version)| Some((key, version.at(sequence)?)));
        match end {
            End::Front => seen.map(copy_row).take(limit).collect(),
            End::Back => seen.rev().map(copy_row).take(limit).collect(),
        }
    }

    /// Calls `work` with the newest version of every row, in key order. Nothing may be added after
    /// this.
    pub(in crate::store) fn for_each<E>(
        &self,
        mut work: impl FnMut(&[u8], Option<&[u8]>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.rows.read().iter().try_for_each(|(key, version)| work(key, version.row.as_deref()))
    }
}

#[expect(clippy::borrowed_box, reason = "the map hands out its keys by reference")]
fn copy_row((key, version): (&Box<[u8]>, &Version)) -> (Box<[u8]>, Change) {
    (key.clone(), version.row.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(text: &str) -> Arc<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn a_view_sees_the_version_of_its_sequence() {
        let delta = Delta::default();
        let key = |key: &str| Box::<[u8]>::from(key.as_bytes());
        delta.insert(3, [(key("a"), Some(row("a3"))), (key("b"), Some(row("b3")))].into_iter());
        delta.insert(5, [(key("a"), None), (key("c"), Some(row("c5")))].into_iter());
        assert_eq!(delta.get(b"a", 2), None);
        assert_eq!(delta.get(b"a", 4), Some(Some(row("a3"))));
        assert_eq!(delta.get(b"a", 5), Some(None));
        assert_eq!(delta.get(b"d", 9), None);
        let all = (Bound::Unbounded, Bound::Unbounded);
        let chunk = delta.chunk(all, End::Back, 4, 9);
        assert_eq!(chunk, [(key("b"), Some(row("b3"))), (key("a"), Some(row("a3")))]);
        assert_eq!(delta.chunk(all, End::Front, 5, 1), [(key("a"), None)]);
    }

    #[test]
    fn a_key_with_a_million_versions_is_dropped_without_recursion() {
        let delta = Delta::default();
        for sequence in 1..=1_000_000 {
            delta.insert(sequence, std::iter::once((b"k".as_slice().into(), None)));
        }
        assert!(delta.bytes() > 0);
        drop(delta);
    }
}
