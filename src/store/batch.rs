//! Batches: mutations encoded on the caller's thread, committed together or not at all.

use std::sync::Arc;
use std::time::Duration;

use super::codec;
use super::dictionaries::Dictionary;
use super::error::StoreError;
use super::index::{DICTIONARIES_ID, Pointer, Row, shared_key};
use super::keyspace::Keyspace;
use super::options::{Compression, PutOptions};
use super::queue::Submitter;
use super::record::{
    ALIGNMENT, Action, Codec, Hash, OP_EXTRA_MAX, OP_HEAD_BYTES, Op, Placed, RECORD_HEADER_BYTES,
    RecordHeader, RecordKind, RecordOffset, encode_op, length_u32, padded, payload_checksum, stamp,
};
use super::shared::{Handle, Shared};
use super::shares::Leases;

/// Values up to this length stand in the group record and in the index row itself; longer ones
/// get a record of their own and a pointer.
pub(super) const INLINE_MAX: usize = 256;
/// Longest key.
pub(super) const MAX_KEY_BYTES: usize = 32 << 10;
/// Largest value.
pub(super) const MAX_VALUE_BYTES: usize = 256 << 20;
/// Largest batch, encoded.
pub(super) const MAX_BATCH_BYTES: usize = 1 << 30;

/// The mutations of a batch as the log takes them: records ready but for their stamp, and the
/// operations that go into the group record.
#[derive(Debug, Default)]
pub(super) struct Encoded {
    pub(super) records: Vec<u8>,
    /// Where the records begin, in units of [`ALIGNMENT`].
    pub(super) heads: Vec<u32>,
    pub(super) ops: Vec<u8>,
    pub(super) count: u32,
    /// Whether it leaves more room than it takes: it may use the room kept back for that.
    pub(super) frees_space: bool,
    /// Keeps the shared values that it refers to until it is applied.
    pub(super) leases: Leases,
}

/// How one value is to be put.
#[derive(Debug)]
struct Put<'a> {
    keyspace: u32,
    key: &'a [u8],
    value: &'a [u8],
    compression: Compression,
    dictionary: Option<Arc<Dictionary>>,
    /// Milliseconds since 1970; 0 for never.
    expires: u64,
}

impl Encoded {
    /// Bytes that the batch takes in the log, all but its share of the group record's head.
    pub(super) fn len(&self) -> usize {
        self.records.len() + self.ops.len()
    }

    fn push_op(&mut self, op: &Op<'_>) {
        encode_op(&mut self.ops, op);
        self.count += 1;
    }

    /// Appends a record with the value and gives its place.
    fn record(&mut self, put: &Put<'_>) -> Result<Placed, StoreError> {
        let (value, raw) = (put.value, length_u32(put.value.len()));
        let start = self.records.len();
        self.records.reserve(RECORD_HEADER_BYTES + padded(value.len()));
        self.records.resize(start + RECORD_HEADER_BYTES, 0);
        let codec = match put.compression {
            Compression::Zstd(level)
                if codec::compress(&mut self.records, value, level, put.dictionary.as_ref())? =>
            {
                Codec::Zstd
            }
            _ => {
                self.records.extend_from_slice(value);
                Codec::Plain
            }
        };
        Ok(self.seal(start, codec, raw))
    }

    /// Appends a record with a payload that is encoded already.
    fn copy(&mut self, pointer: &Pointer, payload: &[u8]) -> Placed {
        let start = self.records.len();
        self.records.resize(start + RECORD_HEADER_BYTES, 0);
        self.records.extend_from_slice(payload);
        self.seal(start, pointer.codec, pointer.raw)
    }

    /// Writes the header of the record that begins at `start` and ends here.
    fn seal(&mut self, start: usize, codec: Codec, raw: u32) -> Placed {
        let (_, record) = self.records.split_at_mut(start);
        let (head, payload) = record.split_at_mut(RECORD_HEADER_BYTES);
        let (stored, checksum) = (length_u32(payload.len()), payload_checksum(payload));
        let kind = RecordKind::Value;
        let header = RecordHeader { kind, codec, sequence: 0, stored, raw, checksum };
        head.copy_from_slice(&header.encode_unstamped());
        self.records.resize(padded(self.records.len()), 0);
        self.heads.push(length_u32(start / ALIGNMENT));
        Placed { codec, raw, stored, offset: RecordOffset(start as u64) }
    }

    fn put(&mut self, put: &Put<'_>) -> Result<(), StoreError> {
        let action = if put.value.len() <= INLINE_MAX {
            let raw = length_u32(put.value.len());
            Action::Inline { codec: Codec::Plain, raw, stored: put.value }
        } else {
            Action::Record(self.record(put)?)
        };
        self.push_put(put, action);
        Ok(())
    }

    /// Puts a value that is shared under its hash, which `known` says is stored already.
    fn put_shared(&mut self, put: &Put<'_>, hash: Hash, known: bool) -> Result<(), StoreError> {
        let action =
            if known { Action::Reference(hash) } else { Action::Hashed(self.record(put)?, hash) };
        self.push_put(put, action);
        Ok(())
    }

    fn push_put(&mut self, put: &Put<'_>, action: Action<'_>) {
        let Put { keyspace, key, expires, .. } = *put;
        self.push_op(&Op { keyspace, key, expires, action });
        self.frees_space = false;
    }

    fn delete(&mut self, keyspace: u32, key: &[u8]) {
        self.push_op(&Op { keyspace, key, expires: 0, action: Action::Delete });
    }

    /// Stores a dictionary of a keyspace.
    pub(super) fn dictionary(keyspace: u32, dictionary: &Dictionary) -> Self {
        let key = [keyspace.to_be_bytes(), dictionary.id.to_be_bytes()].concat();
        let (raw, stored) = (length_u32(dictionary.bytes.len()), dictionary.bytes.as_slice());
        let action = Action::Inline { codec: Codec::Plain, raw, stored };
        let mut encoded = Self::default();
        encoded.push_op(&Op { keyspace: DICTIONARIES_ID, key: &key, expires: 0, action });
        encoded
    }

    /// Removes a key if it still expires then.
    pub(super) fn expire(&mut self, keyspace: u32, key: &[u8], expires: u64) {
        self.push_op(&Op { keyspace, key, expires, action: Action::Expire });
    }

    /// Copies the record that a row points at to the log's end, and the row with it.
    pub(super) fn relocate(&mut self, keyspace: u32, key: &[u8], old: &Pointer, payload: &[u8]) {
        let (to, from) = (self.copy(old, payload), old.place());
        self.push_op(&Op { keyspace, key, expires: 0, action: Action::Move { to, from } });
    }

    /// An empty batch that only makes room.
    pub(super) fn freeing(records: Vec<u8>) -> Self {
        Self { records, frees_space: true, ..Self::default() }
    }

    /// Gives a keyspace id its name.
    pub(super) fn define(keyspace: u32, name: &str) -> Self {
        let mut encoded = Self::default();
        let (key, action) = (name.as_bytes(), Action::Define);
        encoded.push_op(&Op { keyspace, key, expires: 0, action });
        encoded
    }

    /// Completes the records' headers for their place in the log.
    pub(super) fn stamp(&mut self, sequence: u64, salt: u64) {
        for head in &self.heads {
            let start = *head as usize * ALIGNMENT;
            if let Some(header) = self.records.get_mut(start..) {
                stamp(header, sequence, salt);
            }
        }
    }
}

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
        let encoded = Encoded::freeing(handle.shared.buffers.take());
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
                    self.handle.shared.maintenance.expect_expiry(&self.handle.shared);
                    self.handle.shared.time.after(ttl)
                }
                None => 0,
            };
            let id = keyspace.id();
            let dictionary = match compression {
                Compression::Zstd(level) if settings.dictionary && value.len() > INLINE_MAX => {
                    self.handle.shared.dictionary(id, value, level)
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
        let shared = &self.handle.shared;
        let hash = *blake3::hash(put.value).as_bytes();
        let key = shared_key(put.keyspace, &hash);
        // Registered first, looked up then: from here on the value stays if it is found.
        // One whose row is damaged is stored once more.
        let there = |row: Option<&[u8]>| {
            row.map(Row::decode)
                .is_some_and(|row| row.is_ok_and(|row| row.body.pointer().is_some()))
        };
        let known = self.encoded.leases.add(&shared.shares, &key)
            && shared.view()?.row(&key, there).map_err(|e| shared.index_error(e))?;
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
            Some(number) => handle.shared.commit(number),
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
        let shared = Arc::clone(&self.handle.shared);
        let number = self.submit(Submitter::Buffered)?.unwrap_or(0);
        Ok(Ticket { shared, number })
    }

    fn submit(self, by: Submitter) -> Result<Option<u64>, StoreError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.encoded.count == 0 {
            return Ok(None);
        }
        self.handle.shared.queue.submit(self.encoded, by).map(Some)
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
    shared: Arc<Shared>,
    number: u64,
}

impl Ticket {
    /// Waits until the batch is durable and visible, at most `timeout`. Waiting hurries it up.
    pub fn wait(&self, timeout: Duration) -> Result<(), StoreError> {
        self.shared.queue.wait(self.number, timeout, "wait for a batch")
    }

    /// Whether it is known what became of the batch: it is durable and visible, or was refused,
    /// which [`wait`](Self::wait) tells apart.
    pub fn is_done(&self) -> bool {
        self.shared.queue.is_applied(self.number)
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
