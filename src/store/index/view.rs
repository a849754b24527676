//! States of the index as readers see them.
//!
//! A view is a base and a sequence. It looks a row up in the newest delta, then in the one on its
//! way into the file, then in the file; the newest version at or below the view's sequence counts.
//! Iterators merge the three in both directions and own what they read from.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use redb::{Database, OwnedAccessGuard, OwnedRange, ReadOnlyTable, ReadableTable};

use super::Bytes;
use super::delta::{Change, Delta};
use super::meta::{Meta, Totals, read_meta};
use crate::store::error::StoreError;
use crate::store::options::Direction;
use crate::store::segment::Segment;

/// Rows that an iterator takes from a delta at a time.
const CHUNK_ROWS: usize = 64;

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
        let (table, meta) = super::tables(db)?;
        let (active, epoch) = (Arc::default(), Arc::default());
        Ok(Self { table, meta, frozen: None, active, epoch, _db: Arc::clone(db) })
    }

    /// The same checkpoint with the newest rows set aside.
    pub(in crate::store) fn freeze(&self, db: &Arc<Database>) -> Result<Self, redb::Error> {
        let (table, meta) = super::tables(db)?;
        let (frozen, active) = (Some(Arc::clone(&self.active)), Arc::default());
        let epoch = Arc::clone(&self.epoch);
        Ok(Self { table, meta, frozen, active, epoch, _db: Arc::clone(db) })
    }

    /// A new checkpoint under the newest rows, in a new epoch that follows the old one.
    pub(in crate::store) fn rebase(&self, db: &Arc<Database>) -> Result<Self, redb::Error> {
        let (table, meta) = super::tables(db)?;
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

    /// The rows between two row keys.
    pub(in crate::store) fn range(
        &self,
        bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
        direction: Direction,
    ) -> Result<Range, redb::StorageError> {
        let slices = (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice));
        let table = self.base.table.range_owned::<&[u8]>(slices)?;
        let layer = |delta: &Arc<Delta>| Layer {
            delta: Arc::clone(delta),
            bounds: bounds.clone(),
            ready: VecDeque::new(),
            ended: false,
        };
        let deltas = std::iter::once(&self.base.active).chain(&self.base.frozen);
        Ok(Range {
            table,
            head: None,
            layers: deltas.map(layer).collect(),
            sequence: self.sequence,
            direction,
            _base: Arc::clone(&self.base),
        })
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

/// A row of a range, with its key.
pub(in crate::store) enum RawRow {
    /// From the index file.
    Table(OwnedAccessGuard<Bytes>, OwnedAccessGuard<Bytes>),
    /// From the newer rows.
    Delta(Box<[u8]>, Arc<[u8]>),
}

impl RawRow {
    /// The row key.
    pub(in crate::store) fn key(&self) -> &[u8] {
        match self {
            Self::Table(key, _) => key.value(),
            Self::Delta(key, _) => key,
        }
    }

    /// The row, encoded.
    pub(in crate::store) fn row(&self) -> &[u8] {
        match self {
            Self::Table(_, row) => row.value(),
            Self::Delta(_, row) => row,
        }
    }
}

/// Rows in the order of their keys: those of the index file with the newer ones laid over them.
pub(in crate::store) struct Range {
    table: OwnedRange<&'static [u8], &'static [u8]>,
    /// The next row of the table.
    head: Option<RawRow>,
    /// The newest first: of rows under one key the first counts.
    layers: Vec<Layer>,
    sequence: u64,
    direction: Direction,
    /// Goes after the table's range; it keeps the segments that the rows point into.
    _base: Arc<Base>,
}

/// What one delta has for a range.
struct Layer {
    delta: Arc<Delta>,
    /// What was not yet taken.
    bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    ready: VecDeque<(Box<[u8]>, Change)>,
    ended: bool,
}

impl Layer {
    /// The next key, if there is one.
    fn head(&mut self, sequence: u64, direction: Direction) -> Option<&[u8]> {
        if self.ready.is_empty() && !self.ended {
            let bounds = (
                self.bounds.0.as_ref().map(Vec::as_slice),
                self.bounds.1.as_ref().map(Vec::as_slice),
            );
            let empty = super::is_empty_range(&bounds.0, &bounds.1);
            let chunk = if empty {
                Vec::new()
            } else {
                self.delta.chunk(bounds, direction, sequence, CHUNK_ROWS)
            };
            self.ended = chunk.len() < CHUNK_ROWS;
            if let Some((key, _)) = chunk.last() {
                let bound = Bound::Excluded(key.to_vec());
                match direction {
                    Direction::Forward => self.bounds.0 = bound,
                    Direction::Backward => self.bounds.1 = bound,
                }
            }
            self.ready = chunk.into();
        }
        self.ready.front().map(|(key, _)| &**key)
    }
}

impl Range {
    /// The next row.
    pub(in crate::store) fn step(&mut self) -> Result<Option<RawRow>, redb::StorageError> {
        loop {
            if self.head.is_none() {
                let next = match self.direction {
                    Direction::Forward => self.table.next(),
                    Direction::Backward => self.table.next_back(),
                };
                self.head = next.transpose()?.map(|(key, row)| RawRow::Table(key, row));
            }
            let Some(layer) = self.nearest_layer() else { return Ok(self.head.take()) };
            let newest = self.layers.get_mut(layer).and_then(|layer| layer.ready.pop_front());
            let Some((key, change)) = newest else { return Ok(self.head.take()) };
            // What older layers say of the same key does not count.
            for layer in self.layers.iter_mut().skip(layer + 1) {
                if layer.ready.front().is_some_and(|(older, _)| *older == key) {
                    layer.ready.pop_front();
                }
            }
            self.head.take_if(|head| head.key() == &*key);
            if let Some(row) = change {
                return Ok(Some(RawRow::Delta(key, row)));
            }
        }
    }

    /// The newest layer whose next key comes first, or with the table's; `None` if the table's
    /// comes before them all.
    fn nearest_layer(&mut self) -> Option<usize> {
        let (sequence, direction) = (self.sequence, self.direction);
        let mut best: Option<(Option<usize>, &[u8])> =
            self.head.as_ref().map(|head| (None, head.key()));
        for (number, layer) in self.layers.iter_mut().enumerate() {
            let Some(key) = layer.head(sequence, direction) else { continue };
            let nearer = best.is_none_or(|(found, best)| {
                let order = match direction {
                    Direction::Forward => key.cmp(best),
                    Direction::Backward => best.cmp(key),
                };
                order == Ordering::Less || (order == Ordering::Equal && found.is_none())
            });
            if nearer {
                best = Some((Some(number), key));
            }
        }
        best?.0
    }
}

#[cfg(test)]
mod tests {
    use super::super::Index;
    use super::*;
    use crate::store::reserve::Reserve;
    use crate::store::vfs::{RealVfs, Vfs};

    /// The sequence of the view; what a group above it wrote does not show.
    const SEEN: u64 = 7;
    /// Keys of each kind: more in a layer than it gives at a time.
    const REPEATS: u8 = 9;
    /// In the index file or not, and no change, a removal or a row in each of three groups.
    const KINDS: u8 = 2 * 3 * 3 * 3;

    /// What a group did to a key.
    #[derive(Clone, Copy)]
    enum Did {
        Nothing,
        Remove,
        Write(&'static str),
    }

    /// What was done to a key: in the index file, then in the layer on its way there, then in the
    /// newest one before the view and after it.
    struct History {
        table: bool,
        layers: [Did; 3],
    }

    impl History {
        /// One of each kind, with its key.
        fn all() -> impl Iterator<Item = (Vec<u8>, Self)> {
            let pairs = (0..REPEATS).flat_map(|repeat| (0..KINDS).map(move |kind| (repeat, kind)));
            pairs.map(|(repeat, kind)| {
                let did = |digit: u8, text| match digit % 3 {
                    0 => Did::Nothing,
                    1 => Did::Remove,
                    _ => Did::Write(text),
                };
                let layers =
                    [did(kind / 2, "frozen"), did(kind / 6, "active"), did(kind / 18, "too new")];
                (vec![repeat, kind], Self { table: kind % 2 == 0, layers })
            })
        }

        fn visible(&self) -> Option<&'static str> {
            let [frozen, active, _] = self.layers;
            match (active, frozen) {
                (Did::Write(text), _) | (Did::Nothing, Did::Write(text)) => Some(text),
                (Did::Remove, _) | (Did::Nothing, Did::Remove) => None,
                (Did::Nothing, Did::Nothing) => self.table.then_some("table"),
            }
        }
    }

    fn changes(layer: usize) -> impl Iterator<Item = (Box<[u8]>, Change)> {
        History::all().filter_map(move |(key, history)| match history.layers[layer] {
            Did::Nothing => None,
            Did::Remove => Some((key.into(), None)),
            Did::Write(text) => Some((key.into(), Some(text.as_bytes().into()))),
        })
    }

    #[test]
    fn of_each_key_the_newest_layer_counts_forward_backward_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
        let reserve = Arc::new(Reserve::new(&vfs, dir.path(), 64 << 10));
        let mut index = Index::open(&*vfs, dir.path(), 1 << 20, false, &reserve).unwrap();
        let (table, text) = (Delta::default(), Arc::<[u8]>::from(*b"table"));
        let rows = History::all().filter(|(_, history)| history.table);
        table.insert(1, rows.map(|(key, _)| (key.into(), Some(Arc::clone(&text)))));
        index.commit(&table, &Meta::default()).unwrap();
        let base = index.base().unwrap();
        base.active.insert(3, changes(0));
        let base = base.freeze(index.db()).unwrap();
        base.active.insert(5, changes(1));
        base.active.insert(SEEN + 1, changes(2));
        let view = View { base: Arc::new(base), sequence: SEEN, figures: Arc::default() };

        for (key, history) in History::all() {
            let found = view.row(&key, |row| row.map(<[u8]>::to_vec)).unwrap();
            assert_eq!(found.as_deref(), history.visible().map(str::as_bytes), "{key:?}");
        }
        let (start, end) = (vec![0, 20], vec![REPEATS - 1, 40]);
        let inside = |key: &Vec<u8>| (&start..=&end).contains(&key);
        let shown = History::all().filter(|(key, _)| inside(key));
        let shown = shown.filter_map(|(key, history)| Some((key, history.visible()?.into())));
        let mut shown: Vec<(Vec<u8>, Vec<u8>)> = shown.collect();
        for direction in [Direction::Forward, Direction::Backward] {
            let bounds = (Bound::Included(start.clone()), Bound::Included(end.clone()));
            let mut range = view.range(bounds, direction).unwrap();
            let rows = std::iter::from_fn(|| range.step().unwrap());
            let rows: Vec<_> = rows.map(|row| (row.key().to_vec(), row.row().to_vec())).collect();
            assert!(rows == shown, "{direction:?}: {} rows of {}", rows.len(), shown.len());
            shown.reverse();
        }
    }
}
