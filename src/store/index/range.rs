//! Rows in the order of their keys, from both ends.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use redb::{OwnedAccessGuard, OwnedRange};

use super::delta::{Change, Delta, End};
use super::tables::Bytes;
use super::view::{Base, View};

/// Rows that an iterator takes from a delta at a time.
const CHUNK_ROWS: usize = 64;

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

/// Rows in the order of their keys, from both ends: those of the index file with the newer ones
/// laid over them.
///
/// The sources are the file and the deltas, each a sorted sequence that is consumed from both ends.
/// A step takes the outermost key from every source that has it, and returns the row of the newest
/// one. So all sources always have the same interval of keys left, and the ends meet without losing
/// a row or returning one twice.
pub(in crate::store) struct Range {
    table: TableSource,
    /// Newest first: of several rows under one key the first one counts.
    deltas: Vec<DeltaSource>,
    sequence: u64,
    /// Keeps the segments that the rows point into. Dropped after the table's range.
    _base: Arc<Base>,
}

/// What the index file has for a range.
struct TableSource {
    range: OwnedRange<Bytes, Bytes>,
    /// The rows peeked at and not yet taken, at either end.
    front: Option<RawRow>,
    back: Option<RawRow>,
}

impl TableSource {
    /// The row that a step at this end would take.
    fn peek(&mut self, end: End) -> Result<Option<&RawRow>, redb::StorageError> {
        let Self { range, front, back } = self;
        let (near, far) = match end {
            End::Front => (front, back),
            End::Back => (back, front),
        };
        if near.is_none() {
            let next = match end {
                End::Front => range.next(),
                End::Back => range.next_back(),
            };
            let next = next.transpose()?.map(|(key, row)| RawRow::Table(key, row));
            // With none left in between, the row that the other end has peeked at is next.
            *near = next.or_else(|| far.take());
        }
        Ok(near.as_ref())
    }

    /// Takes the row peeked at.
    fn take(&mut self, end: End) -> Option<RawRow> {
        match end {
            End::Front => self.front.take(),
            End::Back => self.back.take(),
        }
    }
}

/// What one delta has for a range.
struct DeltaSource {
    delta: Arc<Delta>,
    /// Keys that were not copied yet.
    middle: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    /// Whether there are none.
    copied: bool,
    /// Rows copied from below the middle, ascending, and from above it, descending.
    front: VecDeque<(Box<[u8]>, Change)>,
    back: VecDeque<(Box<[u8]>, Change)>,
}

impl DeltaSource {
    /// The key that a step at this end would take.
    fn peek(&mut self, end: End, sequence: u64) -> Option<&[u8]> {
        let near = match end {
            End::Front => &self.front,
            End::Back => &self.back,
        };
        if near.is_empty() && !self.copied {
            self.copy(end, sequence);
        }
        let (key, _) = match end {
            End::Front => self.front.front().or_else(|| self.back.back()),
            End::Back => self.back.front().or_else(|| self.front.back()),
        }?;
        Some(key)
    }

    /// Takes the row peeked at.
    fn take(&mut self, end: End) -> Option<(Box<[u8]>, Change)> {
        match end {
            End::Front => self.front.pop_front().or_else(|| self.back.pop_back()),
            End::Back => self.back.pop_front().or_else(|| self.front.pop_back()),
        }
    }

    /// Copies the next rows of the middle, so that the delta need not be locked for each.
    fn copy(&mut self, end: End, sequence: u64) {
        let bounds = as_slices(&self.middle);
        let chunk = if is_empty_range(&bounds.0, &bounds.1) {
            Vec::new()
        } else {
            self.delta.chunk(bounds, end, sequence, CHUNK_ROWS)
        };
        self.copied = chunk.len() < CHUNK_ROWS;
        if let Some((key, _)) = chunk.last() {
            let bound = Bound::Excluded(key.to_vec());
            match end {
                End::Front => self.middle.0 = bound,
                End::Back => self.middle.1 = bound,
            }
        }
        match end {
            End::Front => self.front = chunk.into(),
            End::Back => self.back = chunk.into(),
        }
    }
}

impl Range {
    /// The rows of a view between two row keys.
    pub(in crate::store) fn new(
        view: &View,
        bounds: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    ) -> Result<Self, redb::StorageError> {
        let base = &view.base;
        let range = base.table.range_owned::<&[u8]>(as_slices(&bounds))?;
        let source = |delta: &Arc<Delta>| DeltaSource {
            delta: Arc::clone(delta),
            middle: bounds.clone(),
            copied: false,
            front: VecDeque::new(),
            back: VecDeque::new(),
        };
        Ok(Self {
            table: TableSource { range, front: None, back: None },
            deltas: std::iter::once(&base.active).chain(&base.frozen).map(source).collect(),
            sequence: view.sequence,
            _base: Arc::clone(base),
        })
    }

    /// The next row from the front, in ascending order.
    pub(in crate::store) fn next(&mut self) -> Result<Option<RawRow>, redb::StorageError> {
        self.step(End::Front)
    }

    /// The next row from one end.
    pub(in crate::store) fn step(
        &mut self,
        end: End,
    ) -> Result<Option<RawRow>, redb::StorageError> {
        loop {
            let Some(newest) = self.newest_outermost(end)? else { return Ok(self.table.take(end)) };
            let taken = self.deltas.get_mut(newest).and_then(|source| source.take(end));
            let Some((key, change)) = taken else { return Ok(self.table.take(end)) };
            // Older versions of the same key do not count.
            for source in self.deltas.iter_mut().skip(newest + 1) {
                if source.peek(end, self.sequence) == Some(&*key) {
                    source.take(end);
                }
            }
            if self.table.peek(end)?.is_some_and(|row| row.key() == &*key) {
                self.table.take(end);
            }
            if let Some(row) = change {
                return Ok(Some(RawRow::Delta(key, row)));
            }
        }
    }

    /// The newest delta whose outermost key is that of all sources; `None` if only the table has
    /// it, or nothing is left.
    fn newest_outermost(&mut self, end: End) -> Result<Option<usize>, redb::StorageError> {
        let mut best: Option<(Option<usize>, &[u8])> =
            self.table.peek(end)?.map(|row| (None, row.key()));
        for (number, source) in self.deltas.iter_mut().enumerate() {
            let Some(key) = source.peek(end, self.sequence) else { continue };
            let nearer = best.is_none_or(|(found, best)| {
                let order = match end {
                    End::Front => key.cmp(best),
                    End::Back => best.cmp(key),
                };
                order == Ordering::Less || (order == Ordering::Equal && found.is_none())
            });
            if nearer {
                best = Some((Some(number), key));
            }
        }
        Ok(best.and_then(|(number, _)| number))
    }
}

fn as_slices(bounds: &(Bound<Vec<u8>>, Bound<Vec<u8>>)) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (bounds.0.as_ref().map(Vec::as_slice), bounds.1.as_ref().map(Vec::as_slice))
}

/// Whether no key can be between the bounds. Maps and `redb` panic on such ranges.
pub(in crate::store) fn is_empty_range<T: Ord + ?Sized>(
    start: &Bound<&T>,
    end: &Bound<&T>,
) -> bool {
    match (start, end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Index;
    use super::super::meta::Meta;
    use super::*;
    use crate::store::commit::reserve::Reserve;
    use crate::store::vfs::{RealVfs, Vfs};

    /// The sequence of the view; what a group above it wrote does not show.
    const SEEN: u64 = 7;
    /// Keys of each kind: a source has more than it copies at a time.
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

    /// A view of all histories.
    fn view(dir: &std::path::Path) -> View {
        let vfs: Arc<dyn Vfs> = Arc::new(RealVfs);
        let reserve = Arc::new(Reserve::new(&vfs, dir, 64 << 10));
        let mut index = Index::open(&*vfs, dir, 1 << 20, false, &reserve).unwrap();
        let (table, text) = (Delta::default(), Arc::<[u8]>::from(*b"table"));
        let rows = History::all().filter(|(_, history)| history.table);
        table.insert(1, rows.map(|(key, _)| (key.into(), Some(Arc::clone(&text)))));
        index.commit(&table, &Meta::default()).unwrap();
        let base = index.base().unwrap();
        base.active.insert(3, changes(0));
        let base = base.freeze(index.db()).unwrap();
        base.active.insert(5, changes(1));
        base.active.insert(SEEN + 1, changes(2));
        View { base: Arc::new(base), sequence: SEEN, counts: Arc::default() }
    }

    /// The rows that a view shows between two keys, both included.
    fn shown(start: &Vec<u8>, end: &Vec<u8>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let inside = History::all().filter(|(key, _)| (start..=end).contains(&key));
        inside.filter_map(|(key, history)| Some((key, history.visible()?.into()))).collect()
    }

    #[test]
    fn of_each_key_the_newest_layer_counts_forward_backward_and_alone() {
        let dir = tempfile::tempdir().unwrap();
        let view = view(dir.path());
        for (key, history) in History::all() {
            let found = view.row(&key, |row| row.map(<[u8]>::to_vec)).unwrap();
            assert_eq!(found.as_deref(), history.visible().map(str::as_bytes), "{key:?}");
        }
        let (start, end) = (vec![0, 20], vec![REPEATS - 1, 40]);
        let mut shown = shown(&start, &end);
        for from in [End::Front, End::Back] {
            let bounds = (Bound::Included(start.clone()), Bound::Included(end.clone()));
            let mut range = Range::new(&view, bounds).unwrap();
            let rows = std::iter::from_fn(|| range.step(from).unwrap());
            let rows: Vec<_> = rows.map(|row| (row.key().to_vec(), row.row().to_vec())).collect();
            assert!(rows == shown, "{from:?}: {} rows of {}", rows.len(), shown.len());
            shown.reverse();
        }
    }

    #[test]
    fn the_ends_meet_wherever_they_do() {
        let dir = tempfile::tempdir().unwrap();
        let view = view(dir.path());
        let (start, end) = (vec![0, 20], vec![REPEATS - 1, 40]);
        let shown = shown(&start, &end);
        // Some from one end, and the rest from the other; or in turns of some, from either end.
        for some in (0..=shown.len() + 1).step_by(5).chain([1, 2, 3, shown.len()]) {
            for (first, turns) in [(End::Front, false), (End::Back, false), (End::Front, true)] {
                let bounds = (Bound::Included(start.clone()), Bound::Included(end.clone()));
                let mut range = Range::new(&view, bounds).unwrap();
                let (mut front, mut back) = (Vec::new(), Vec::new());
                for number in 0.. {
                    let is_first = if turns { number / (some + 1) % 2 == 0 } else { number < some };
                    let from = match (first, is_first) {
                        (End::Front, true) | (End::Back, false) => End::Front,
                        _ => End::Back,
                    };
                    let Some(row) = range.step(from).unwrap() else { break };
                    let rows = if from == End::Front { &mut front } else { &mut back };
                    rows.push((row.key().to_vec(), row.row().to_vec()));
                }
                front.extend(back.into_iter().rev());
                assert!(front == shown, "{some} {first:?} {turns}");
                assert!(range.step(End::Front).unwrap().is_none());
                assert!(range.step(End::Back).unwrap().is_none());
            }
        }
    }
}
