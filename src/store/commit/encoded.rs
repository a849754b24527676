//! Batches in their encoded form, made on the caller's thread.

use std::sync::Arc;

use super::dedup::Registrations;
use crate::store::codec::{self, Dictionary};
use crate::store::error::StoreError;
use crate::store::index::DICTIONARIES_ID;
use crate::store::limits::INLINE_MAX;
use crate::store::options::Compression;
use crate::store::record::{
    ALIGNMENT, Action, Codec, Hash, Op, Placed, Pointer, RECORD_HEADER_BYTES, RecordHeader,
    RecordKind, RecordOffset, encode_op, length_u32, padded, payload_checksum, stamp,
};

/// The mutations of a batch, encoded: its records, complete but for their stamp, and its
/// operations, which go into the group record.
#[derive(Debug, Default)]
pub(in crate::store) struct Encoded {
    pub(in crate::store) records: Vec<u8>,
    /// Where each record begins, in units of [`ALIGNMENT`].
    pub(in crate::store) heads: Vec<u32>,
    pub(in crate::store) ops: Vec<u8>,
    pub(in crate::store) count: u32,
    /// Whether it only deletes, moves or expires: then it may use the reserve.
    pub(in crate::store) frees_space: bool,
    /// Keeps the deduplicated values that it refers to until it is applied.
    pub(in crate::store) registrations: Registrations,
}

/// How one value is to be put.
#[derive(Debug)]
pub(in crate::store) struct Put<'a> {
    pub(in crate::store) keyspace: u32,
    pub(in crate::store) key: &'a [u8],
    pub(in crate::store) value: &'a [u8],
    pub(in crate::store) compression: Compression,
    pub(in crate::store) dictionary: Option<Arc<Dictionary>>,
    /// Milliseconds since 1970; 0 for never.
    pub(in crate::store) expires: u64,
}

impl Encoded {
    /// Bytes that the batch takes in the log, without its share of the group record's head.
    pub(in crate::store) fn len(&self) -> usize {
        self.records.len() + self.ops.len()
    }

    fn push_op(&mut self, op: &Op<'_>) {
        encode_op(&mut self.ops, op);
        self.count += 1;
    }

    /// Appends a record with the value and returns its place.
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
        Ok(self.finish_record(start, codec, raw))
    }

    /// Appends a record with a payload that is encoded already.
    fn copy(&mut self, pointer: &Pointer, payload: &[u8]) -> Placed {
        let start = self.records.len();
        self.records.resize(start + RECORD_HEADER_BYTES, 0);
        self.records.extend_from_slice(payload);
        self.finish_record(start, pointer.codec, pointer.raw)
    }

    /// Writes the header of the record that begins at `start` and ends here.
    fn finish_record(&mut self, start: usize, codec: Codec, raw: u32) -> Placed {
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

    pub(in crate::store) fn put(&mut self, put: &Put<'_>) -> Result<(), StoreError> {
        let action = if put.value.len() <= INLINE_MAX {
            let raw = length_u32(put.value.len());
            Action::Inline { codec: Codec::Plain, raw, stored: put.value }
        } else {
            Action::Record(self.record(put)?)
        };
        self.push_put(put, action);
        Ok(())
    }

    /// Puts a value by its hash. `known` tells that the value is stored already.
    pub(in crate::store) fn put_deduplicated(
        &mut self,
        put: &Put<'_>,
        hash: Hash,
        known: bool,
    ) -> Result<(), StoreError> {
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

    pub(in crate::store) fn delete(&mut self, keyspace: u32, key: &[u8]) {
        self.push_op(&Op { keyspace, key, expires: 0, action: Action::Delete });
    }

    /// Stores a dictionary of a keyspace.
    pub(in crate::store) fn dictionary(keyspace: u32, dictionary: &Dictionary) -> Self {
        let key = [keyspace.to_be_bytes(), dictionary.id.to_be_bytes()].concat();
        let (raw, stored) = (length_u32(dictionary.bytes.len()), dictionary.bytes.as_slice());
        let action = Action::Inline { codec: Codec::Plain, raw, stored };
        let mut encoded = Self::default();
        encoded.push_op(&Op { keyspace: DICTIONARIES_ID, key: &key, expires: 0, action });
        encoded
    }

    /// Removes a key if it still expires then.
    pub(in crate::store) fn expire(&mut self, keyspace: u32, key: &[u8], expires: u64) {
        self.push_op(&Op { keyspace, key, expires, action: Action::Expire });
    }

    /// Moves the record that a row points to: copies it to the end of the log, and points the row
    /// to the copy.
    pub(in crate::store) fn relocate(
        &mut self,
        keyspace: u32,
        key: &[u8],
        old: &Pointer,
        payload: &[u8],
    ) {
        let (to, from) = (self.copy(old, payload), old.place());
        self.push_op(&Op { keyspace, key, expires: 0, action: Action::Move { to, from } });
    }

    /// An empty batch that may use the reserve.
    pub(in crate::store) fn freeing(records: Vec<u8>) -> Self {
        Self { records, frees_space: true, ..Self::default() }
    }

    /// Names a keyspace id.
    pub(in crate::store) fn define(keyspace: u32, name: &str) -> Self {
        let mut encoded = Self::default();
        let (key, action) = (name.as_bytes(), Action::Define);
        encoded.push_op(&Op { keyspace, key, expires: 0, action });
        encoded
    }

    /// Completes the records' headers for their place in the log.
    pub(in crate::store) fn stamp(&mut self, sequence: u64, salt: u64) {
        for head in &self.heads {
            let start = *head as usize * ALIGNMENT;
            if let Some(header) = self.records.get_mut(start..) {
                stamp(header, sequence, salt);
            }
        }
    }
}
