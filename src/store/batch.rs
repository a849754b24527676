//! Batches: mutations encoded on the caller's thread, committed together or not at all.

use std::sync::Arc;
use std::time::Duration;

use crate::store::commit::encoded::{Encoded, Put};
use crate::store::commit::queue::Submitter;
use crate::store::core::Core;
use crate::store::error::StoreError;
use crate::store::handle::Handle;
use crate::store::index::{Row, shared_key};
use crate::store::keyspace::Keyspace;
use crate::store::limits::{INLINE_MAX, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::store::options::{Compression, PutOptions};
use crate::store::record::{OP_EXTRA_MAX, OP_HEAD_BYTES, RECORD_HEADER_BYTES, padded};
use crate::store::upkeep::schedule;

/// Mutations of one or several keyspaces that become durable and visible together.
///
/// Values are encoded (copied once, compressed where the keyspace says so) as they are added.
/// Later operations on a key overrule earlier ones. What is wrong with an operation is told by
/// [`commit`](Batch::commit), and then nothing of the batch is written.
#[derive(Debug)]
#[must_use = "a batch does nothing until it is committed"]
pub struct Batch {
    handle: Arc<Handle>,
    encoded: Encoded,
    error: Option<StoreError>,
}

impl Batch {
    pub(super) fn new(handle: Arc<Handle>) -> Self {
        let encoded = Encoded::freeing(handle.core.buffers.take());
        Self { handle, encoded, error: None }
    }

    /// Stores `value` under `key`.
    pub fn put(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.put_with(keyspace, key, value, PutOptions::default());
    }

    /// Stores `value` under `key`, with a time to live or a compression of its own.
    pub fn put_with(
        &mut self,
        keyspace: &Keyspace,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        options: PutOptions,
    ) {
        let (key, value) = (key.as_ref(), value.as_ref());
        let result = self.admit(keyspace, key, value.len()).and_then(|()| {
            let settings = keyspace.options();
            let compression = options.compression.unwrap_or(settings.compression);
            let expires = match options.ttl {
                Some(ttl) => {
                    schedule::expect_expiry(&self.handle.core);
                    self.handle.core.time.after(ttl)
                }
                None => 0,
            };
            let id = keyspace.id();
            let dictionary = match compression {
                Compression::Zstd(level) if settings.dictionary && value.len() > INLINE_MAX => {
                    schedule::dictionary_for(&self.handle.core, id, value, level)
                }
                _ => None,
            };
            let put = Put { keyspace: id, key, value, compression, dictionary, expires };
            if settings.dedup && value.len() > INLINE_MAX {
                self.put_shared(&put)
            } else {
                self.encoded.put(&put)
            }
        });
        self.note(result);
    }

    fn put_shared(&mut self, put: &Put<'_>) -> Result<(), StoreError> {
        let core = &self.handle.core;
        let hash = *blake3::hash(put.value).as_bytes();
        let key = shared_key(put.keyspace, &hash);
        // Registered first, looked up then: from here on the value stays if it is found.
        // One whose row is damaged is stored once more.
        let there = |row: Option<&[u8]>| {
            row.map(Row::decode)
                .is_some_and(|row| row.is_ok_and(|row| row.body.pointer().is_some()))
        };
        let known = self.encoded.leases.add(&core.shares, &key)
            && core.view()?.row(&key, there).map_err(|e| core.index_error(e))?;
        self.encoded.put_shared(put, hash, known)
    }

    /// Removes `key`; a key that is not there is no error.
    pub fn delete(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        let result = self.admit(keyspace, key, 0);
        if result.is_ok() {
            self.encoded.delete(keyspace.id(), key);
        }
        self.note(result);
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.encoded.count as usize
    }

    /// Whether there is no operation.
    pub fn is_empty(&self) -> bool {
        self.encoded.count == 0
    }

    /// Bytes that the batch takes in the log, compressed.
    pub fn encoded_len(&self) -> usize {
        self.encoded.len()
    }

    /// Writes the batch and returns when it is durable and visible. Waits for its turn, and while
    /// the queue is full, the index catches up or space is reclaimed.
    ///
    /// After [`StoreError::Timeout`] (five minutes) and [`StoreError::Poisoned`] the batch may still
    /// be there, all of it, now or after the next opening; after all other errors nothing of it is.
    pub fn commit(self) -> Result<(), StoreError> {
        let handle = Arc::clone(&self.handle);
        match self.submit(Submitter::Sync)? {
            Some(number) => handle.core.commit(number),
            None => Ok(()),
        }
    }

    /// Queues the batch and returns; it becomes durable and visible soon (after 10 ms, or 1 MiB of
    /// such batches), in the order in which batches were queued: never without those queued before
    /// it, unless one of them was [refused](StoreError::Refused). Blocks while the queue is full, the
    /// index catches up or space is reclaimed, five minutes at most.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use gristmill::store::{KeyspaceOptions, Store};
    /// # let dir = tempfile::tempdir()?;
    /// # let store = Store::open(dir.path())?;
    /// # let pages = store.keyspace("pages", KeyspaceOptions::default())?;
    /// let mut batch = store.batch();
    /// batch.put(&pages, "key", "value");
    /// let ticket = batch.commit_buffered()?;
    /// // … other work …
    /// ticket.wait(Duration::from_secs(10))?;
    /// assert!(pages.contains("key")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn commit_buffered(self) -> Result<Ticket, StoreError> {
        let core = Arc::clone(&self.handle.core);
        let number = self.submit(Submitter::Buffered)?.unwrap_or(0);
        Ok(Ticket { core, number })
    }

    fn submit(self, by: Submitter) -> Result<Option<u64>, StoreError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.encoded.count == 0 {
            return Ok(None);
        }
        self.handle.core.queue.submit(self.encoded, by).map(Some)
    }

    fn note(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }

    fn admit(&self, keyspace: &Keyspace, key: &[u8], value: usize) -> Result<(), StoreError> {
        let name = || keyspace.name().to_owned();
        if !keyspace.belongs_to(&self.handle) {
            return Err(StoreError::ForeignKeyspace { name: name() });
        }
        if key.len() > MAX_KEY_BYTES {
            let (keyspace, length) = (name(), key.len());
            return Err(StoreError::KeyTooLong { keyspace, length, limit: MAX_KEY_BYTES });
        }
        if value > MAX_VALUE_BYTES {
            let (keyspace, length) = (name(), value);
            return Err(StoreError::ValueTooLarge { keyspace, length, limit: MAX_VALUE_BYTES });
        }
        let grown = OP_HEAD_BYTES + OP_EXTRA_MAX + key.len() + RECORD_HEADER_BYTES + padded(value);
        let length = self.encoded.len() + grown;
        if length > MAX_BATCH_BYTES {
            return Err(StoreError::BatchTooLarge { length, limit: MAX_BATCH_BYTES });
        }
        Ok(())
    }
}

/// The receipt of a buffered batch. Dropping it changes nothing.
#[derive(Debug, Clone)]
pub struct Ticket {
    core: Arc<Core>,
    number: u64,
}

impl Ticket {
    /// Waits until the batch is durable and visible, at most `timeout`. Waiting hurries it up.
    pub fn wait(&self, timeout: Duration) -> Result<(), StoreError> {
        self.core.queue.wait(self.number, timeout, "wait for a batch")
    }

    /// Whether it is known what became of the batch: it is durable and visible, or was refused,
    /// which [`wait`](Self::wait) tells apart.
    pub fn is_done(&self) -> bool {
        self.core.queue.is_applied(self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{KeyspaceOptions, Store};

    #[test]
    fn a_batch_that_would_be_too_large_is_refused_whole() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let keyspace = store.keyspace("k", KeyspaceOptions::default()).unwrap();
        let mut batch = store.batch();
        batch.put(&keyspace, "good", "x");
        // So much that a value of 8 bytes and its key just fit. Nothing of it is ever touched.
        let taken = OP_HEAD_BYTES + OP_EXTRA_MAX + 3 + RECORD_HEADER_BYTES + 8;
        let room = MAX_BATCH_BYTES - taken - batch.encoded.ops.len();
        batch.encoded.records = vec![0; room];
        batch.admit(&keyspace, b"key", 8).unwrap();
        for (key, value) in [(&b"key"[..], 9), (b"key4", 8), (b"key", MAX_VALUE_BYTES)] {
            let error = batch.admit(&keyspace, key, value).unwrap_err();
            let StoreError::BatchTooLarge { length, limit } = error else { panic!("{error}") };
            assert!(length > limit && limit == MAX_BATCH_BYTES);
        }
        batch.put(&keyspace, "key", [0; 9]);
        // It stays so, whatever comes after it.
        batch.encoded.records = Vec::new();
        batch.delete(&keyspace, "k");
        let error = batch.commit().unwrap_err();
        assert!(matches!(error, StoreError::BatchTooLarge { .. }), "{error}");
        assert!(keyspace.is_empty().unwrap());
    }
}
