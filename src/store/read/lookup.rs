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
    Body, DICTIONARIES_ID, EXPIRY_ID, Range, Row, View, dedup_key, row_key, split_expiry_key,
    split_row_key,
};
use crate::store::options::Verification;
use crate::store::read::pointers::CachedPointer;
use crate::store::read::value::Value;
use crate::store::record::{Codec, Hash, Pointer};

/// What a row says about its value.
enum RowValue {
    Value(Value),
    Pointer(Pointer),
    Shared(Hash),
}

impl Core {
    /// The value under a row key now.
    pub(in crate::store) fn get_newest(&self, row_key: &[u8]) -> Result<Option<Value>, StoreError> {
        if let Some(cached) = self.pointers.get(row_key)
            && let Some(lease) = self.segments.lease(cached.pointer.segment)
        {
            if cached.expires != 0 && cached.expires <= self.time.now() {
                return Ok(None);
            }
            let verify = self.options.verification == Verification::Always;
            return Value::read(lease, &cached.pointer, verify, &self.dictionaries).map(Some);
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
            RowValue::Value(value) => return Ok(Some(value)),
            RowValue::Pointer(pointer) => pointer,
            RowValue::Shared(hash) => self.dedup_pointer(view, row_key, &hash)?,
        };
        let value = self.fetch(&pointer)?;
        self.pointers.insert(row_key, CachedPointer { read_at: view.sequence, expires, pointer });
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

    /// The result of `read` for the row under a key, unless it is missing or expired.
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

    fn copy_row(&self, row: Row<'_>) -> Result<(u64, RowValue), StoreError> {
        let found = match row.body {
            Body::Inline { codec: Codec::Plain, stored, .. } => {
                RowValue::Value(Value::small(stored))
            }
            Body::Inline { codec: Codec::Zstd, raw, stored } => RowValue::Value(
                codec::decompress(stored, raw, &self.dictionaries).map(Value::heap)?,
            ),
            Body::Record(pointer) | Body::Counted { pointer, .. } => RowValue::Pointer(pointer),
            Body::Reference(hash) => RowValue::Shared(hash),
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
            RowValue::Value(value) => Ok(value),
            RowValue::Pointer(pointer) => self.fetch(&pointer),
            RowValue::Shared(hash) => {
                let pointer = self.dedup_pointer(view, row_key, &hash)?;
                self.fetch(&pointer)
            }
        }
    }

    /// Where the deduplicated value with this hash is.
    fn dedup_pointer(
        &self,
        view: &View,
        row_key: &[u8],
        hash: &Hash,
    ) -> Result<Pointer, StoreError> {
        let keyspace = split_row_key(row_key).map_or(0, |(keyspace, _)| keyspace);
        let pointer = self.find(view, &dedup_key(keyspace, hash), |row| row.body.pointer())?;
        pointer.flatten().ok_or_else(|| self.damaged_row("deduplicated value is missing"))
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

    /// Number of keys of a keyspace in a view, without expired ones that are not yet removed.
    pub(in crate::store) fn count(&self, view: &View, keyspace: u32) -> Result<u64, StoreError> {
        let counts = view.counts.keyspace(keyspace);
        if counts.expiring == 0 {
            return Ok(counts.keys);
        }
        let mut expired = 0;
        self.for_each_expired(view, self.time.now(), |_, row_key| {
            let own = split_row_key(row_key).is_some_and(|(id, _)| id == keyspace);
            expired += u64::from(own);
            true
        })?;
        Ok(counts.keys.saturating_sub(expired))
    }

    /// Calls `work` with the expiry and row key of each row that has expired by `now`, until it
    /// returns `false`.
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

    /// Loads the dictionaries. A damaged one is left out: only what was compressed with it cannot
    /// be read.
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
