//! Keyspaces: named ordered maps.

use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Duration;

use crate::store::batch::Batch;
use crate::store::core::Core;
use crate::store::error::StoreError;
use crate::store::handle::Handle;
use crate::store::index::row_key;
use crate::store::options::{KeyspaceOptions, PutOptions};
use crate::store::read::rows::Rows;
use crate::store::read::value::Value;

/// Bytes and entries of the batches of a bulk load.
const BULK_BYTES: usize = 4 << 20;
const BULK_ENTRIES: usize = 10_000;
/// Batches of a bulk load in flight.
const BULK_AHEAD: usize = 4;
/// How long a bulk load waits for one of its batches.
const BULK_DEADLINE: Duration = Duration::from_mins(5);

/// A named map from byte strings to byte strings, ordered by key. Cheap to clone. Keeps the store
/// open.
#[derive(Debug, Clone)]
pub struct Keyspace {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    handle: Arc<Handle>,
    id: u32,
    name: String,
    options: KeyspaceOptions,
}

impl Keyspace {
    pub(super) fn new(
        handle: Arc<Handle>,
        id: u32,
        name: String,
        options: KeyspaceOptions,
    ) -> Self {
        Self { inner: Arc::new(Inner { handle, id, name, options }) }
    }

    /// The name of the keyspace.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The value stored under `key`.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>, StoreError> {
        let core = self.core();
        core.counters.read(1);
        with_row_key(self.id(), key.as_ref(), |row_key| core.get_newest(row_key))
    }

    /// Whether there is a value under `key`. Does not read the value.
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool, StoreError> {
        let core = self.core();
        let view = core.view()?;
        core.contains(&view, &self.row_key(key.as_ref()))
    }

    /// The values under several keys, in the order of `keys`, all from one state of the store.
    pub fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Option<Value>>, StoreError> {
        let core = self.core();
        core.counters.read(keys.len());
        let view = core.view()?;
        keys.iter().map(|key| core.get(&view, &self.row_key(key.as_ref()))).collect()
    }

    /// Stores one value, durable and visible on return. A [`batch`](super::Store::batch) is cheaper
    /// for many.
    pub fn put(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<(), StoreError> {
        let mut batch = Batch::new(Arc::clone(&self.inner.handle));
        batch.put(self, key, value);
        batch.commit()
    }

    /// Stores one value with a time to live or a compression of its own, durable and visible on
    /// return.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use gristmill::store::{KeyspaceOptions, PutOptions, Store};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// let robots = store.keyspace("robots", KeyspaceOptions::default())?;
    /// let day = Duration::from_secs(24 * 60 * 60);
    /// robots.put_with("example.org", "User-agent: *", PutOptions::ttl(day))?;
    /// assert!(robots.contains("example.org")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn put_with(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: PutOptions,
    ) -> Result<(), StoreError> {
        let mut batch = Batch::new(Arc::clone(&self.inner.handle));
        batch.put_with(self, key, value, options);
        batch.commit()
    }

    /// Removes one key, durable and visible on return. Removing a missing key is not an error.
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<(), StoreError> {
        let mut batch = Batch::new(Arc::clone(&self.inner.handle));
        batch.delete(self, key);
        batch.commit()
    }

    /// Stores many values, in batches that are written while the next one is filled, and returns
    /// their number. Everything is durable and visible on return. Not atomic: readers see the load
    /// progress, and after an error a part of it remains.
    ///
    /// ```
    /// # use gristmill::store::{KeyspaceOptions, Store};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// let squares = store.keyspace("squares", KeyspaceOptions::default())?;
    /// let entries = (0..1000_u32).map(|n| (n.to_be_bytes(), (n * n).to_string()));
    /// assert_eq!(squares.bulk_load(entries)?, 1000);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn bulk_load<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        &self,
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Result<u64, StoreError> {
        let new_batch = || Batch::new(Arc::clone(&self.inner.handle));
        let (mut batch, mut count, mut tickets) = (new_batch(), 0, Vec::new());
        for (key, value) in entries {
            batch.put(self, key, value);
            count += 1;
            if batch.encoded_len() >= BULK_BYTES || batch.len() >= BULK_ENTRIES {
                let full = std::mem::replace(&mut batch, new_batch());
                tickets.push(full.commit_buffered()?);
                // Wait for all but the newest few, so that an error ends the load early.
                if let Some(ticket) = tickets.len().checked_sub(BULK_AHEAD) {
                    tickets.drain(..=ticket).try_for_each(|ticket| ticket.wait(BULK_DEADLINE))?;
                }
            }
        }
        tickets.push(batch.commit_buffered()?);
        tickets.iter().try_for_each(|ticket| ticket.wait(BULK_DEADLINE))?;
        Ok(count)
    }

    /// All keys and values in the order of the keys, as of now.
    pub fn iter(&self) -> Rows {
        self.range::<&[u8]>(..)
    }

    /// The keys and values in a range of keys, as of now.
    ///
    /// ```
    /// # use gristmill::store::{KeyspaceOptions, Store};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// let days = store.keyspace("days", KeyspaceOptions::default())?;
    /// for day in ["mon", "tue", "wed"] {
    ///     days.put(day, day.to_uppercase())?;
    /// }
    /// let (key, value) = days.range("a".."tz").next_back().unwrap()?;
    /// assert_eq!((key.as_slice(), &*value), (&b"tue"[..], &b"TUE"[..]));
    /// let keys: Vec<_> = days.iter().keys().rev().collect::<Result<_, _>>()?;
    /// assert_eq!(keys, [b"wed", b"tue", b"mon"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn range<K: AsRef<[u8]>>(&self, bounds: impl RangeBounds<K>) -> Rows {
        Rows::range(&self.inner.handle, self.core().view(), self.id(), &bounds)
    }

    /// The keys and values whose keys begin with `prefix`, as of now.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Rows {
        Rows::prefix(&self.inner.handle, self.core().view(), self.id(), prefix.as_ref())
    }

    /// The smallest key and its value.
    pub fn first(&self) -> Result<Option<(Vec<u8>, Value)>, StoreError> {
        self.iter().next().transpose()
    }

    /// The largest key and its value.
    pub fn last(&self) -> Result<Option<(Vec<u8>, Value)>, StoreError> {
        self.iter().next_back().transpose()
    }

    /// Number of keys. Maintained by writes, so this is cheap, except that expired keys that are
    /// not yet removed are counted here.
    pub fn len(&self) -> Result<u64, StoreError> {
        let view = self.core().view()?;
        self.core().count(&view, self.id())
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    /// A number that grows when a commit writes to this keyspace or expired keys are removed from
    /// it, and at no other time. Commits that are flushed together raise it once.
    ///
    /// It is the sequence of the group with the last such change. For a keyspace not written since
    /// the store was opened it is that of the last group before. It changes together with what the
    /// commit wrote, before the commit is acknowledged. So what was read from one state (see
    /// [`Snapshot::generation`](super::Snapshot::generation)) is still current while the number is
    /// the same, apart from keys that have expired since. Deletions of missing keys count too.
    /// Reads nothing from disk.
    pub fn generation(&self) -> Result<u64, StoreError> {
        Ok(self.core().view()?.counts.keyspace(self.id()).changed)
    }

    pub(super) fn id(&self) -> u32 {
        self.inner.id
    }

    pub(super) fn options(&self) -> &KeyspaceOptions {
        &self.inner.options
    }

    pub(super) fn belongs_to(&self, handle: &Arc<Handle>) -> bool {
        Arc::ptr_eq(&self.inner.handle, handle)
    }

    pub(super) fn row_key(&self, key: &[u8]) -> Vec<u8> {
        row_key(self.id(), key)
    }

    fn core(&self) -> &Core {
        &self.inner.handle.core
    }
}

impl IntoIterator for &Keyspace {
    type Item = <Rows as Iterator>::Item;
    type IntoIter = Rows;

    fn into_iter(self) -> Rows {
        self.iter()
    }
}

/// Longest key whose row key is made without an allocation.
const SHORT_KEY: usize = 60;

/// Calls `work` with the row key of a key.
fn with_row_key<T>(keyspace: u32, key: &[u8], work: impl FnOnce(&[u8]) -> T) -> T {
    let mut short = [0; 4 + SHORT_KEY];
    match short.get_mut(..4 + key.len()) {
        Some(place) => {
            let (id, rest) = place.split_at_mut(4);
            id.copy_from_slice(&keyspace.to_be_bytes());
            rest.copy_from_slice(key);
            work(place)
        }
        None => work(&row_key(keyspace, key)),
    }
}
