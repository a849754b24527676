//! Batches: mutations encoded on the caller's thread, committed together or not at all.

use std::sync::Arc;
use std::time::Duration;

use crate::store::commit::encoded::{Encoded, Put};
use crate::store::commit::queue::Submitter;
use crate::store::core::Core;
use crate::store::error::StoreError;
use crate::store::handle::Handle;
use crate::store::index::{Row, dedup_key};
use crate::store::keyspace::Keyspace;
use crate::store::limits::{INLINE_MAX, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES};
use crate::store::options::{Compression, PutOptions};
use crate::store::record::{OP_EXTRA_MAX, OP_HEAD_BYTES, RECORD_HEADER_BYTES, padded};
use crate::store::upkeep::schedule;

/// Mutations of one or several keyspaces that become durable and visible together.
///
/// Values are encoded as they are added: copied once, and compressed if the keyspace says so. Later
/// operations on a key override earlier ones. An invalid operation is reported by
/// [`commit`](Batch::commit), which then writes nothing of the batch.
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
                self.put_deduplicated(&put)
            } else {
                self.encoded.put(&put)
            }
        });
        self.note(result);
    }

    fn put_deduplicated(&mut self, put: &Put<'_>) -> Result<(), StoreError> {
        let core = &self.handle.core;
        let hash = *blake3::hash(put.value).as_bytes();
        let key = dedup_key(put.keyspace, &hash);
        // Register before the look-up: a registered value is not dropped, so one that is found now
        // is still there when the batch is applied. A value whose row is damaged is stored again.
        let there = |row: Option<&[u8]>| {
            row.map(Row::decode)
                .is_some_and(|row| row.is_ok_and(|row| row.body.pointer().is_some()))
        };
        let known = self.encoded.registrations.add(&core.dedup, &key)
            && core.view()?.row(&key, there).map_err(|e| core.index_error(e))?;
        self.encoded.put_deduplicated(put, hash, known)
    }

    /// Removes `key`. Removing a missing key is not an error.
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

    /// Whether the batch has no operation.
    pub fn is_empty(&self) -> bool {
        self.encoded.count == 0
    }

    /// Size of the batch in the log, in bytes, after compression.
    pub fn encoded_len(&self) -> usize {
        self.encoded.len()
    }

    /// Writes the batch and returns when it is durable and visible, and with it every batch that was
    /// queued before. An empty batch writes nothing, but waits for those before it all the same.
    /// Blocks while the queue is full, the index catches up or space is being reclaimed.
    ///
    /// After [`StoreError::Timeout`] (five minutes) and [`StoreError::Poisoned`] the whole batch
    /// may still become visible, now or after the next opening. After any other error none of it
    /// does.
    pub fn commit(self) -> Result<(), StoreError> {
        let handle = Arc::clone(&self.handle);
        match self.submit(Submitter::Sync)? {
            Some(number) => handle.core.commit(number),
            None => handle.core.commit_empty(),
        }
    }

    /// Queues the batch and returns. It becomes durable and visible within about 10 ms, or once 1
    /// MiB of such batches are queued. Batches take effect in the order in which they were queued:
    /// none without those before it, unless one of them was [refused](StoreError::Refused). The
    /// ticket of an empty batch waits for those before it. Blocks for at most five minutes while the
    /// queue is full, the index catches up or space is being reclaimed.
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
        let queued = self.submit(Submitter::Buffered)?;
        let number = queued.unwrap_or_else(|| core.queue.newest());
        Ok(Ticket { core, number, empty: queued.is_none() })
    }

    /// Queues the batch and returns its number, or `None` if it is empty.
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

/// The receipt of a buffered batch. Dropping it does not affect the batch.
#[derive(Debug, Clone)]
pub struct Ticket {
    core: Arc<Core>,
    /// The number of the batch or, if it is empty, of the one before it.
    number: u64,
    empty: bool,
}

impl Ticket {
    /// Waits until the batch is durable and visible, for at most `timeout`. Waiting makes it be
    /// written at once.
    pub fn wait(&self, timeout: Duration) -> Result<(), StoreError> {
        let (queue, action) = (&self.core.queue, "wait for a batch");
        if self.empty {
            return queue.wait_answered(self.number, timeout, action);
        }
        queue.wait(self.number, timeout, action)
    }

    /// Whether the outcome of the batch is known: it is durable and visible, or was refused.
    /// [`wait`](Self::wait) says which.
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
        // Later operations do not clear the error.
        batch.encoded.records = Vec::new();
        batch.delete(&keyspace, "k");
        let error = batch.commit().unwrap_err();
        assert!(matches!(error, StoreError::BatchTooLarge { .. }), "{error}");
        assert!(keyspace.is_empty().unwrap());
    }
}
