//! Batches: mutations encoded on the caller's thread, committed together or not at all.

use std::sync::Arc;
use std::time::Duration;

use super::codec;
use super::error::StoreError;
use super::keyspace::Keyspace;
use super::options::Compression;
use super::record::{
    ALIGNMENT, Action, Codec, OP_HEAD_BYTES, Op, RECORD_HEADER_BYTES, RecordHeader, RecordKind,
    RecordOffset, encode_op, length_u32, padded, payload_checksum, stamp,
};
use super::shared::{Handle, Shared};

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

    fn put(
        &mut self,
        keyspace: u32,
        key: &[u8],
        value: &[u8],
        compression: Compression,
    ) -> Result<(), StoreError> {
        let raw = length_u32(value.len());
        if value.len() <= INLINE_MAX {
            let action = Action::Inline { codec: Codec::Plain, raw, stored: value };
            self.push_op(&Op { keyspace, key, action });
            return Ok(());
        }
        let start = self.records.len();
        self.records.reserve(RECORD_HEADER_BYTES + padded(value.len()));
        self.records.resize(start + RECORD_HEADER_BYTES, 0);
        let codec = match compression {
            Compression::Zstd(level) if codec::compress(&mut self.records, value, level)? => {
                Codec::Zstd
            }
            _ => {
                self.records.extend_from_slice(value);
                Codec::Plain
            }
        };
        let (_, record) = self.records.split_at_mut(start);
        let (head, payload) = record.split_at_mut(RECORD_HEADER_BYTES);
        let (stored, checksum) = (length_u32(payload.len()), payload_checksum(payload));
        let kind = RecordKind::Value;
        let header = RecordHeader { kind, codec, sequence: 0, stored, raw, checksum };
        head.copy_from_slice(&header.encode_unstamped());
        self.records.resize(padded(self.records.len()), 0);
        self.heads.push(length_u32(start / ALIGNMENT));
        let offset = RecordOffset(start as u64);
        self.push_op(&Op { keyspace, key, action: Action::Record { codec, raw, stored, offset } });
        Ok(())
    }

    fn delete(&mut self, keyspace: u32, key: &[u8]) {
        self.push_op(&Op { keyspace, key, action: Action::Delete });
    }

    /// Gives a keyspace id its name.
    pub(super) fn define(keyspace: u32, name: &str) -> Self {
        let mut encoded = Self::default();
        encoded.push_op(&Op { keyspace, key: name.as_bytes(), action: Action::Define });
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
        Self { handle, encoded: Encoded::default(), error: None }
    }

    /// Stores `value` under `key`.
    pub fn put(&mut self, keyspace: &Keyspace, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        let result = self.admit(keyspace, key, value.len()).and_then(|()| {
            self.encoded.put(keyspace.id(), key, value, keyspace.options().compression)
        });
        self.note(result);
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

    /// Writes the batch and returns when it is durable and visible.
    pub fn commit(self) -> Result<(), StoreError> {
        let handle = Arc::clone(&self.handle);
        match self.submit(true)? {
            Some(number) => handle.shared.wait_applied(number, "commit"),
            None => Ok(()),
        }
    }

    /// Queues the batch and returns; it becomes durable and visible soon, in the order in which
    /// batches were queued: never without those queued before it. Blocks only while the queue is
    /// full.
    pub fn commit_buffered(self) -> Result<Ticket, StoreError> {
        let shared = Arc::clone(&self.handle.shared);
        let number = self.submit(false)?.unwrap_or(0);
        Ok(Ticket { shared, number })
    }

    fn submit(self, urgent: bool) -> Result<Option<u64>, StoreError> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if self.encoded.count == 0 {
            return Ok(None);
        }
        self.handle.shared.queue.submit(self.encoded, urgent).map(Some)
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
        let grown = OP_HEAD_BYTES + key.len() + RECORD_HEADER_BYTES + padded(value);
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

    /// Whether the batch is durable and visible.
    pub fn is_done(&self) -> bool {
        self.shared.queue.is_applied(self.number)
    }
}
