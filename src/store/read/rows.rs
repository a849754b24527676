//! Iterators over keys and values. They own what they need and show one state of the store.

use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use crate::store::core::Core;
use crate::store::error::StoreError;
use crate::store::handle::Handle;
use crate::store::index::{End, Range, Row, View, is_empty_range};
use crate::store::options::Direction;
use crate::store::read::value::Value;

/// Bytes of the keyspace's id before each key.
const ID_BYTES: usize = 4;

/// Keys and values of a range; made by [`Keyspace::range`](crate::store::Keyspace::range) and its kin.
///
/// An error ends the iteration unless it concerns one value alone: then the next item follows.
#[derive(Debug)]
#[must_use = "an iterator does nothing unless it is walked"]
pub struct Rows {
    state: State,
}

enum State {
    /// The range goes before the handle, which may close the store.
    Walking {
        range: Box<Range>,
        view: View,
        handle: Scanning,
        end: End,
    },
    Failed(StoreError),
    Ended,
}

/// Keeps the store open, and counts the rows of one iterator at its end.
struct Scanning {
    handle: Arc<Handle>,
    rows: u64,
}

impl Drop for Scanning {
    fn drop(&mut self) {
        self.handle.core.counters.scanned(self.rows);
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Walking { .. } => "Walking",
            Self::Failed(_) => "Failed",
            Self::Ended => "Ended",
        })
    }
}

impl Rows {
    pub(in crate::store) fn range<K: AsRef<[u8]>>(
        handle: &Arc<Handle>,
        view: Result<View, StoreError>,
        keyspace: u32,
        bounds: &impl RangeBounds<K>,
        direction: Direction,
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
        Self::new(handle, view, start, end, direction)
    }

    pub(in crate::store) fn prefix(
        handle: &Arc<Handle>,
        view: Result<View, StoreError>,
        keyspace: u32,
        prefix: &[u8],
        direction: Direction,
    ) -> Self {
        let start = [&keyspace.to_be_bytes(), prefix].concat();
        let end = successor(&start).map_or(Bound::Unbounded, Bound::Excluded);
        Self::new(handle, view, Bound::Included(start), end, direction)
    }

    fn new(
        handle: &Arc<Handle>,
        view: Result<View, StoreError>,
        start: Bound<Vec<u8>>,
        end: Bound<Vec<u8>>,
        direction: Direction,
    ) -> Self {
        let handle = Arc::clone(handle);
        let empty = is_empty_range(&as_slice(&start), &as_slice(&end));
        let state = if empty {
            State::Ended
        } else {
            let range = view.and_then(|view| {
                let range = Range::new(&view, (start, end));
                range.map(|range| (range, view)).map_err(|error| handle.core.index_error(error))
            });
            match range {
                Ok((range, view)) => {
                    let handle = Scanning { handle, rows: 0 };
                    let end = match direction {
                        Direction::Forward => End::Front,
                        Direction::Backward => End::Back,
                    };
                    State::Walking { handle, view, end, range: Box::new(range) }
                }
                Err(error) => State::Failed(error),
            }
        };
        Self { state }
    }

    /// The next key that has not expired, and what `read` makes of its row.
    fn step<T>(
        &mut self,
        read: impl FnOnce(&Core, &View, &[u8], Row<'_>) -> Result<T, StoreError>,
    ) -> Option<Result<(Vec<u8>, T), StoreError>> {
        let State::Walking { handle, view, range, end } = &mut self.state else {
            let state = std::mem::replace(&mut self.state, State::Ended);
            return if let State::Failed(error) = state { Some(Err(error)) } else { None };
        };
        let core = &*handle.handle.core;
        if let Err(closed) = core.check_open() {
            self.state = State::Ended;
            return Some(Err(closed));
        }
        loop {
            match range.step(*end) {
                Ok(Some(found)) => {
                    handle.rows += 1;
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
                    self.state = State::Ended;
                    return None;
                }
                Err(error) => {
                    let error = core.index_error(error);
                    self.state = State::Ended;
                    return Some(Err(error));
                }
            }
        }
    }
}

impl Iterator for Rows {
    type Item = Result<(Vec<u8>, Value), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(Core::resolve)
    }
}

/// Keys of a range; made by [`Keyspace::range_keys`](crate::store::Keyspace::range_keys) and its kin.
#[derive(Debug)]
#[must_use = "an iterator does nothing unless it is walked"]
pub struct Keys {
    rows: Rows,
}

impl Keys {
    pub(in crate::store) fn new(rows: Rows) -> Self {
        Self { rows }
    }
}

impl Iterator for Keys {
    type Item = Result<Vec<u8>, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.rows.step(|_, _, _, _| Ok(())).map(|item| item.map(|(key, ())| key))
    }
}

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
