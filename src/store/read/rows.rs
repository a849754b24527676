//! Iterators over keys and values. They own what they need and show one state of the store.

use std::fmt;
use std::iter::FusedIterator;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::value::Value;
use crate::store::core::Core;
use crate::store::error::StoreError;
use crate::store::handle::Handle;
use crate::store::index::{End, Range, Row, View, is_empty_range};

/// Bytes of the keyspace's id before each key.
const ID_BYTES: usize = 4;

/// Keys and values in the order of the keys, from both ends; returned by
/// [`Keyspace::iter`](crate::store::Keyspace::iter), `range` and `prefix`.
///
/// It shows one state of the store: later writes do not appear, but keys that expire meanwhile
/// disappear. Taking from the back ([`rev`](Iterator::rev)) costs what taking from the front does.
///
/// After an error that concerns one value alone the next item follows; any other error ends the
/// iteration.
#[derive(Debug)]
#[must_use = "an iterator does nothing unless it is consumed"]
pub struct Rows {
    state: RowsState,
}

enum RowsState {
    /// The range is dropped before the handle, which may close the store.
    Open {
        range: Box<Range>,
        view: View,
        reader: Reader,
    },
    Failed(StoreError),
    Ended,
}

/// Keeps the store open, and counts the rows of one iterator at its end.
struct Reader {
    handle: Arc<Handle>,
    rows: u64,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.handle.core.counters.scanned(self.rows);
    }
}

impl fmt::Debug for RowsState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open { .. } => "Open",
            Self::Failed(_) => "Failed",
            Self::Ended => "Ended",
        })
    }
}

impl Rows {
    /// The keys alone. Does not read the values.
    pub fn keys(self) -> Keys {
        Keys { rows: self }
    }

    pub(in crate::store) fn range<K: AsRef<[u8]>>(
        handle: &Arc<Handle>,
        view: Result<View, StoreError>,
        keyspace: u32,
        bounds: &impl RangeBounds<K>,
    ) -> Self {
        let id = keyspace.to_be_bytes();
        let full = |key: &K| [&id, key.as_ref()].concat();
        let start = match bounds.start_bound() {
            Bound::Included(key) => Bound::Included(full(key)),
            Bound::Excluded(key) => Bound::Excluded(full(key)),
            Bound::Unbounded => Bound::Included(id.to_vec()),
        };
        let end = match bounds.end_bound() {
            Bound::Included(key) => Bound::Included(full(key)),
            Bound::Excluded(key) => Bound::Excluded(full(key)),
            Bound::Unbounded => successor(&id).map_or(Bound::Unbounded, Bound::Excluded),
        };
        Self::new(handle, view, start, end)
    }

    pub(in crate::store) fn prefix(
        handle: &Arc<Handle>,
        view: Result<View, StoreError>,
        keyspace: u32,
        prefix: &[u8],
    ) -> Self {
        let start = [&keyspace.to_be_bytes(), prefix].concat();
        let end = successor(&start).map_or(Bound::Unbounded, Bound::Excluded);
        Self::new(handle, view, Bound::Included(start), end)
    }

    fn new(
        handle: &Arc<Handle>,
        view: Result<View, StoreError>,
        start: Bound<Vec<u8>>,
        end: Bound<Vec<u8>>,
    ) -> Self {
        if is_empty_range(&as_slice(&start), &as_slice(&end)) {
            return Self { state: RowsState::Ended };
        }
        let range = view.and_then(|view| {
            let range = Range::new(&view, (start, end));
            range.map(|range| (range, view)).map_err(|error| handle.core.index_error(error))
        });
        let state = match range {
            Ok((range, view)) => {
                let reader = Reader { handle: Arc::clone(handle), rows: 0 };
                RowsState::Open { reader, view, range: Box::new(range) }
            }
            Err(error) => RowsState::Failed(error),
        };
        Self { state }
    }

    /// The next key from one end that has not expired, and the result of `read` for its row.
    fn step<T>(
        &mut self,
        end: End,
        read: impl FnOnce(&Core, &View, &[u8], Row<'_>) -> Result<T, StoreError>,
    ) -> Option<Result<(Vec<u8>, T), StoreError>> {
        let RowsState::Open { reader, view, range } = &mut self.state else {
            let state = std::mem::replace(&mut self.state, RowsState::Ended);
            return if let RowsState::Failed(error) = state { Some(Err(error)) } else { None };
        };
        let core = &*reader.handle.core;
        if let Err(closed) = core.check_open() {
            self.state = RowsState::Ended;
            return Some(Err(closed));
        }
        loop {
            match range.step(end) {
                Ok(Some(found)) => {
                    reader.rows += 1;
                    let row = match Row::decode(found.row()) {
                        Ok(row) if core.is_expired(&row) => continue,
                        Ok(row) => row,
                        Err(reason) => return Some(Err(core.damaged_row(reason))),
                    };
                    let value = read(core, view, found.key(), row);
                    let key = found.key().get(ID_BYTES..).unwrap_or_default().to_vec();
                    return Some(value.map(|value| (key, value)));
                }
                Ok(None) => {
                    self.state = RowsState::Ended;
                    return None;
                }
                Err(error) => {
                    let error = core.index_error(error);
                    self.state = RowsState::Ended;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<(Vec<u8>, Value), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front, Core::resolve)
    }
}

impl DoubleEndedIterator for Rows {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back, Core::resolve)
    }
}

impl FusedIterator for Rows {}

/// Keys in their order, from both ends; returned by [`Rows::keys`].
#[derive(Debug)]
#[must_use = "an iterator does nothing unless it is consumed"]
pub struct Keys {
    rows: Rows,
}

impl Keys {
    fn step(&mut self, end: End) -> Option<Result<Vec<u8>, StoreError>> {
        let item = self.rows.step(end, |_, _, _, _| Ok(()))?;
        Some(item.map(|(key, ())| key))
    }
}

impl Iterator for Keys {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(End::Front)
    }
}

impl DoubleEndedIterator for Keys {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(End::Back)
    }
}

impl FusedIterator for Keys {}

/// The smallest byte string above all that begin with `prefix`; `None` if there is none.
fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix.get(..=last)?.to_vec();
    *next.last_mut()? += 1;
    Some(next)
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_successor_is_above_every_key_with_the_prefix_and_no_other() {
        assert_eq!(successor(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(successor(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(successor(b"\xff"), None);
        assert_eq!(successor(b""), None);
    }
}
