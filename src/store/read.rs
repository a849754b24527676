//! Reading: from a key to its row, to its record, to its value.
//!
//! A value stored uncompressed is a slice of the memory map, with a lease that keeps the map.
//! Leases are handed out by stripes of threads, so that readers do not contend for one count.
//! Checksums are verified at each read, at the reads that the pointer cache does not answer, or
//! never ([`Verification`](super::Verification)); verifying also tells whether the record is the
//! one that the pointer names.

use std::ops::Bound;
use std::sync::Arc;

use super::codec;
use super::dictionaries::Dictionary;
use super::error::StoreError;
use super::hot::Spot;
use super::index::{
    Body, DICTIONARIES_ID, EXPIRY_ID, Pointer, Row, View, row_key, shared_key, split_expiry_key,
    split_row_key,
};
use super::options::{Direction, Verification};
use super::record::{Codec, Hash};
use super::segment::segment_path;
use super::shared::Shared;
use super::stats::StoreStats;
use super::value::Value;

/// What a row says about its value.
enum Found {
    Value(Value),
    Pointer(Pointer),
    Shared(Hash),
}

impl Shared {
    /// The newest state of the index.
    pub(super) fn view(&self) -> Result<View, StoreError> {
        self.published.read().view.clone().ok_or_else(|| self.queue.closed())
    }

    /// An error once the store is closed.
    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if self.published.read().view.is_some() { Ok(()) } else { Err(self.queue.closed()) }
    }

    /// The value under a row key now.
    pub(super) fn get_newest(&self, row_key: &[u8]) -> Result<Option<Value>, StoreError> {
        if let Some(spot) = self.hot.get(row_key)
            && let Some(lease) = self.segments.lease(spot.pointer.segment)
        {
            if spot.expires != 0 && spot.expires <= self.time.now() {
                return Ok(None);
            }
            let verify = self.options.verification == Verification::Always;
            return lease.value(&spot.pointer, verify, &self.dictionaries).map(Some);
        }
        self.get(&self.view()?, row_key)
    }

    /// The value under a row key in a state of the index.
    pub(super) fn get(&self, view: &View, row_key: &[u8]) -> Result<Option<Value>, StoreError> {
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
    pub(super) fn contains(&self, view: &View, row_key: &[u8]) -> Result<bool, StoreError> {
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

    /// Whether a row is past its time.
    pub(super) fn is_expired(&self, row: &Row<'_>) -> bool {
        row.expires != 0 && row.is_expired(self.time.now())
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
    pub(super) fn resolve(
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
        lease.value(pointer, self.options.verification != Verification::Never, &self.dictionaries)
    }

    /// Keys of a keyspace that a view shows: those counted without those that have expired and are
    /// not yet removed.
    pub(super) fn count(&self, view: &View, keyspace: u32) -> Result<u64, StoreError> {
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
    pub(super) fn for_each_expired(
        &self,
        view: &View,
        now: u64,
        mut work: impl FnMut(u64, &[u8]) -> bool,
    ) -> Result<(), StoreError> {
        let end = row_key(EXPIRY_ID, &now.saturating_add(1).to_be_bytes());
        let bounds = (Bound::Included(row_key(EXPIRY_ID, &[])), Bound::Excluded(end));
        let mut range =
            view.range(bounds, Direction::Forward).map_err(|error| self.index_error(error))?;
        while let Some(row) = range.step().map_err(|error| self.index_error(error))? {
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
    pub(super) fn load_dictionaries(&self) -> Result<(), StoreError> {
        let view = self.view()?;
        let ends = [DICTIONARIES_ID, DICTIONARIES_ID + 1].map(|id| row_key(id, &[]));
        let [start, end] = ends;
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        let mut range =
            view.range(bounds, Direction::Forward).map_err(|error| self.index_error(error))?;
        while let Some(row) = range.step().map_err(|error| self.index_error(error))? {
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

    /// The dictionary to compress a value of a keyspace with. Where there is none yet, the value
    /// becomes a sample to train one on.
    pub(super) fn dictionary(
        self: &Arc<Self>,
        keyspace: u32,
        value: &[u8],
        level: i32,
    ) -> Option<Arc<Dictionary>> {
        let known = self.dictionaries.of(keyspace);
        if known.is_none()
            && let Some(samples) = self.dictionaries.sample(keyspace, value)
        {
            self.maintenance.train(self, keyspace, samples, level);
        }
        known
    }

    /// An error of the index in words of the store.
    pub(super) fn index_error(&self, error: impl Into<redb::Error>) -> StoreError {
        // The file was sealed when the store was closed, maybe just now.
        match self.check_open() {
            Ok(()) => StoreError::index(&self.index_path, error),
            Err(closed) => closed,
        }
    }

    pub(super) fn damaged_row(&self, reason: &'static str) -> StoreError {
        StoreError::IndexRow { path: self.index_path.clone(), reason }
    }

    /// Figures as of now; after a close, those at its end.
    pub(super) fn stats(&self) -> StoreStats {
        let figures = Arc::clone(&self.published.read().figures);
        let totals = figures.totals;
        let (pointer_hits, pointer_misses) = self.hot.counts();
        let mut stats = StoreStats {
            segments: totals.segments,
            live_bytes: totals.live,
            total_bytes: totals.used,
            sequence: totals.sequence,
            queued_bytes: self.queue.held_bytes() as u64,
            slowed_batches: self.queue.slowed(),
            dictionaries: self.dictionaries.len() as u64,
            pointer_hits,
            pointer_misses,
            ..StoreStats::default()
        };
        for (name, id) in &self.keyspaces.lock().ids {
            stats.keys.insert(name.clone(), figures.keyspace(*id).keys);
        }
        self.counters.fill(&mut stats);
        stats
    }
}
