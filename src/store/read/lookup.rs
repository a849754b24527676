//! Reading: from a key to its row, to its record, to its value.
//!
//! A value stored uncompressed is a slice of the memory map, with a lease that keeps the map.
//! Leases are handed out by stripes of threads, so that readers do not contend for one count.
//! Checksums are verified at each read, at the reads that the pointer cache does not answer, or
//! never ([`Verification`](super::Verification)); verifying also tells whether the record is the
//! one that the pointer names.

use std::ops::Bound;
use std::sync::Arc;

use crate::store::codec;
use crate::store::codec::Dictionary;
use crate::store::core::Core;
use crate::store::error::StoreError;
use crate::store::files::segment_path;
use crate::store::index::{
    Body, DICTIONARIES_ID, EXPIRY_ID, Range, Row, View, row_key, shared_key, split_expiry_key,
    split_row_key,
};
use crate::store::options::Verification;
use crate::store::read::pointers::Spot;
use crate::store::read::value::Value;
use crate::store::record::{Codec, Hash, Pointer};

/// What a row says about its value.
enum Found {
    Value(Value),
    Pointer(Pointer),
    Shared(Hash),
}

impl Core {
    /// The value under a row key now.
    pub(in crate::store) fn get_newest(&self, row_key: &[u8]) -> Result<Option<Value>, StoreError> {
        if let Some(spot) = self.hot.get(row_key)
            && let Some(lease) = self.segments.lease(spot.pointer.segment)
        {
            if spot.expires != 0 && spot.expires <= self.time.now() {
                return Ok(None);
            }
            let verify = self.options.verification == Verification::Always;
            return Value::read(lease, &spot.pointer, verify, &self.dictionaries).map(Some);
        }
        self.get(&self.view()?, row_key)
    }

    /// The value under a row key in a state of the index.
    pub(in crate::store) fn get(
        &self,
        view: &View,
        row_key: &[u8],
    ) -> Result<Option<Value>, StoreError> {
        let found = self.find(view, row_key, |row| self.copy_row(row))?;
        let Some((expires, found)) = found.transpose()? else { return Ok(None) };
        let pointer = match found {
            Found::Value(value) => return Ok(Some(value)),
            Found::Pointer(pointer) => pointer,
            Found::Shared(hash) => self.shared_pointer(view, row_key, &hash)?,
        };
        let value = self.fetch(&pointer)?;
        self.hot.insert(row_key, Spot { read_at: view.sequence, expires, pointer });
        Ok(Some(value))
    }

    /// Whether a key has a row in a state of the index.
    pub(in crate::store) fn contains(
        &self,
        view: &View,
        row_key: &[u8],
    ) -> Result<bool, StoreError> {
        Ok(self.find(view, row_key, |_| ())?.is_some())
    }

    /// What `read` makes of the row under a key, unless it has expired.
    fn find<T>(
        &self,
        view: &View,
        row_key: &[u8],
        read: impl FnOnce(Row<'_>) -> T,
    ) -> Result<Option<T>, StoreError> {
        let found = view.row(row_key, |bytes| match bytes.map(Row::decode) {
            None => Ok(None),
            Some(Ok(row)) if self.is_expired(&row) => Ok(None),
            Some(Ok(row)) => Ok(Some(read(row))),
            Some(Err(reason)) => Err(reason),
        });
        found.map_err(|error| self.index_error(error))?.map_err(|reason| self.damaged_row(reason))
    }

    fn copy_row(&self, row: Row<'_>) -> Result<(u64, Found), StoreError> {
        let found = match row.body {
            Body::Inline { codec: Codec::Plain, stored, .. } => Found::Value(Value::small(stored)),
            Body::Inline { codec: Codec::Zstd, raw, stored } => {
                Found::Value(codec::decompress(stored, raw, &self.dictionaries).map(Value::heap)?)
            }
            Body::Record(pointer) | Body::Counted { pointer, .. } => Found::Pointer(pointer),
            Body::Shared(hash) => Found::Shared(hash),
        };
        Ok((row.expires, found))
    }

    /// The value that a row of a view names.
    pub(in crate::store) fn resolve(
        &self,
        view: &View,
        row_key: &[u8],
        row: Row<'_>,
    ) -> Result<Value, StoreError> {
        match self.copy_row(row)?.1 {
            Found::Value(value) => Ok(value),
            Found::Pointer(pointer) => self.fetch(&pointer),
            Found::Shared(hash) => {
                let pointer = self.shared_pointer(view, row_key, &hash)?;
                self.fetch(&pointer)
            }
        }
    }

    /// Where the value shared under a hash lies.
    fn shared_pointer(
        &self,
        view: &View,
        row_key: &[u8],
        hash: &Hash,
    ) -> Result<Pointer, StoreError> {
        let keyspace = split_row_key(row_key).map_or(0, |(keyspace, _)| keyspace);
        let pointer = self.find(view, &shared_key(keyspace, hash), |row| row.body.pointer())?;
        pointer.flatten().ok_or_else(|| self.damaged_row("shared value is missing"))
    }

    fn fetch(&self, pointer: &Pointer) -> Result<Value, StoreError> {
        let Some(lease) = self.segments.lease(pointer.segment) else {
            self.check_open()?;
            let path = segment_path(&self.options.dir, pointer.segment);
            return Err(StoreError::corrupt(&path, pointer.offset, "segment is missing"));
        };
        lease.segment.prefetch(pointer);
        let verify = self.options.verification != Verification::Never;
        Value::read(lease, pointer, verify, &self.dictionaries)
    }

    /// Keys of a keyspace that a view shows: those counted without those that have expired and are
    /// not yet removed.
    pub(in crate::store) fn count(&self, view: &View, keyspace: u32) -> Result<u64, StoreError> {
        let figures = view.figures.keyspace(keyspace);
        if figures.expiring == 0 {
            return Ok(figures.keys);
        }
        let mut expired = 0;
        self.for_each_expired(view, self.time.now(), |_, row_key| {
            let own = split_row_key(row_key).is_some_and(|(id, _)| id == keyspace);
            expired += u64::from(own);
            true
        })?;
        Ok(figures.keys.saturating_sub(expired))
    }

    /// Hands over expiry and row key of what has expired by `now`, until told to stop.
    pub(in crate::store) fn for_each_expired(
        &self,
        view: &View,
        now: u64,
        mut work: impl FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let end = row_key(EXPIRY_ID, &now.saturating_add(1).to_be_bytes());
        let bounds = (Bound::Included(row_key(EXPIRY_ID, &[])), Bound::Excluded(end));
        let mut range = Range::new(view, bounds).map_err(|error| self.index_error(error))?;
        while let Some(row) = range.next().map_err(|error| self.index_error(error))? {
            let parts = split_row_key(row.key()).and_then(|(_, key)| split_expiry_key(key));
            let (expires, row_key) = parts.ok_or_else(|| self.damaged_row("expiry too short"))?;
            if !work(expires, row_key) {
                break;
            }
        }
        Ok(())
    }

    /// Reads the dictionaries into memory. One that is damaged is left out: what was compressed
    /// with it cannot be read, all else can.
    pub(in crate::store) fn load_dictionaries(&self) -> Result<(), StoreError> {
        let view = &self.view()?;
        let ends = [DICTIONARIES_ID, DICTIONARIES_ID + 1].map(|id| row_key(id, &[]));
        let [start, end] = ends;
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        let mut range = Range::new(view, bounds).map_err(|error| self.index_error(error))?;
        while let Some(row) = range.next().map_err(|error| self.index_error(error))? {
            let damaged = || self.damaged_row("not a dictionary");
            let id = split_row_key(row.key()).and_then(|(_, key)| key.first_chunk::<4>());
            let keyspace = u32::from_be_bytes(*id.ok_or_else(damaged)?);
            let row = Row::decode(row.row()).map_err(|reason| self.damaged_row(reason))?;
            let Body::Inline { stored, .. } = row.body else { return Err(damaged()) };
            if let Some(dictionary) = Dictionary::new(stored.to_vec()) {
                self.dictionaries.add(keyspace, Arc::new(dictionary));
            } else {
                tracing::error!(error = %damaged(), keyspace, "dictionary left out");
            }
        }
        Ok(())
    }
}
