//! The writing end of the log: groups appended to the current segment, one flush each.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::batch::Encoded;
use super::error::StoreError;
use super::options::{ReadMode, StoreBuilder};
use super::record::{
    BATCH_HEAD_BYTES, Codec, GROUP_FIXED_BYTES, RECORD_HEADER_BYTES, RecordHeader, RecordKind,
    SEGMENT_HEADER_BYTES, encode_batch_head, encode_group, length_u32, padded, payload_checksum,
    stamp,
};
use super::segment::{Segment, Segments, segment_path};
use super::stats::Counters;
use super::vfs::{Vfs, write_all_at};
use crate::time::SharedClock;

/// A group that is durable and not yet in the index.
#[derive(Debug)]
pub(super) struct FlushedGroup {
    pub(super) sequence: u64,
    pub(super) segment: u32,
    pub(super) salt: u64,
    /// Where it ends in the segment.
    pub(super) end: u64,
    /// Each batch's place in the segment and its operations.
    pub(super) batches: Vec<(u64, Vec<u8>)>,
    /// Bytes it takes in the log.
    pub(super) length: u64,
}

/// The state of the log's end. Owned by one thread.
#[derive(Debug)]
pub(super) struct Log {
    vfs: Arc<dyn Vfs>,
    clock: SharedClock,
    dir: PathBuf,
    segment_bytes: u64,
    read_mode: ReadMode,
    segments: Arc<Segments>,
    counters: Arc<Counters>,
    current: Option<Current>,
    spare: Option<Spare>,
    next_id: u32,
    /// Sequence of the last durable group.
    flushed: u64,
}

#[derive(Debug)]
struct Current {
    segment: Arc<Segment>,
    /// Where the next group begins.
    tail: u64,
}

/// A segment that is being prepared by a thread of its own, so that the writer need not wait.
#[derive(Debug)]
struct Spare {
    id: u32,
    thread: JoinHandle<Result<Segment, StoreError>>,
}

impl Log {
    /// A log that goes on after group `flushed`, in segments from `next_id` on.
    pub(super) fn new(
        options: &StoreBuilder,
        segments: Arc<Segments>,
        counters: Arc<Counters>,
        next_id: u32,
        flushed: u64,
    ) -> Self {
        Self {
            vfs: Arc::clone(&options.vfs),
            clock: Arc::clone(&options.clock),
            dir: options.dir.clone(),
            segment_bytes: options.segment_bytes,
            read_mode: options.read_mode,
            segments,
            counters,
            current: None,
            spare: None,
            next_id,
            flushed,
        }
    }

    /// Appends the batches as the next group and flushes it. After an error nothing may be
    /// appended any more: what the disk holds is unknown.
    pub(super) fn append(&mut self, mut batches: Vec<Encoded>) -> Result<FlushedGroup, StoreError> {
        let sequence = self.flushed + 1;
        let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
        let ops: usize = batches.iter().map(|batch| BATCH_HEAD_BYTES + batch.ops.len()).sum();
        let closing = RECORD_HEADER_BYTES + padded(GROUP_FIXED_BYTES + ops);
        let length = (records + closing) as u64;
        let (segment, start) = self.room_for(length)?;

        for batch in &mut batches {
            batch.stamp(sequence, segment.salt);
        }
        let (group, bases) = group_record(&batches, sequence, self.flushed, start, segment.salt);
        let mut parts: Vec<&[u8]> = batches.iter().map(|batch| batch.records.as_slice()).collect();
        parts.push(&group);
        let file = segment.file()?;
        write_all_at(&*file, start, &parts)
            .map_err(|source| StoreError::io("write", &segment.path, source))?;
        let before = self.clock.monotonic();
        file.sync_data().map_err(|source| StoreError::io("flush", &segment.path, source))?;
        self.counters.flushed(self.clock.monotonic().saturating_sub(before), batches.len());

        let end = start + length;
        segment.publish(end);
        self.flushed = sequence;
        if let Some(current) = &mut self.current {
            current.tail = end;
        }
        self.prepare_ahead(end, segment.capacity);
        let batches = bases.into_iter().zip(batches.into_iter().map(|batch| batch.ops)).collect();
        let (id, salt) = (segment.id, segment.salt);
        Ok(FlushedGroup { sequence, segment: id, salt, end, batches, length })
    }

    /// Ends the log: the spare segment is removed.
    pub(super) fn close(mut self) {
        let Some(spare) = self.spare.take() else { return };
        if let Ok(Ok(segment)) = spare.thread.join() {
            self.discard(segment);
        }
    }

    /// The segment and the place for a group of this length.
    fn room_for(&mut self, length: u64) -> Result<(Arc<Segment>, u64), StoreError> {
        if let Some(current) = &self.current
            && current.tail + length <= current.segment.capacity
        {
            return Ok((Arc::clone(&current.segment), current.tail));
        }
        let needed = SEGMENT_HEADER_BYTES as u64 + length;
        let segment = Arc::new(self.next_segment(needed)?);
        self.segments.insert(Arc::clone(&segment));
        let tail = SEGMENT_HEADER_BYTES as u64;
        let current = Current { segment: Arc::clone(&segment), tail };
        if let Some(full) = self.current.replace(current) {
            full.segment.release_file();
        }
        Ok((segment, tail))
    }

    /// The spare segment if it is long enough, otherwise a new one.
    fn next_segment(&mut self, needed: u64) -> Result<Segment, StoreError> {
        if let Some(spare) = self.spare.take() {
            let joined = spare.thread.join();
            let segment = joined.map_err(|_panic| StoreError::Panicked {
                path: segment_path(&self.dir, spare.id),
            })??;
            if segment.capacity >= needed {
                return Ok(segment);
            }
            self.discard(segment);
        }
        let id = self.take_id();
        let capacity = self.segment_bytes.max(needed);
        Segment::create(&self.vfs, &self.dir, id, capacity, self.read_mode, self.clock.wall())
    }

    /// Has the next segment prepared once the current one is half full.
    fn prepare_ahead(&mut self, tail: u64, capacity: u64) {
        if self.spare.is_some() || tail < capacity / 2 {
            return;
        }
        let id = self.take_id();
        let (vfs, dir, clock) = (Arc::clone(&self.vfs), self.dir.clone(), Arc::clone(&self.clock));
        let (capacity, mode) = (self.segment_bytes, self.read_mode);
        let work = move || Segment::create(&vfs, &dir, id, capacity, mode, clock.wall());
        match std::thread::Builder::new().name("store-prepare".into()).spawn(work) {
            Ok(thread) => self.spare = Some(Spare { id, thread }),
            // The writer makes the segment itself when it needs it, under the next id.
            Err(error) => tracing::warn!(%error, "no thread to prepare a segment"),
        }
    }

    fn take_id(&mut self) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Removes a segment that holds nothing. One that stays is removed by the next opening.
    fn discard(&self, segment: Segment) {
        let path = segment.path.clone();
        drop(segment);
        if let Err(error) = self.vfs.remove(&path) {
            tracing::warn!(path = %path.display(), %error, "unused segment not removed");
        }
    }
}

/// The record that closes a group, and where each batch begins in the segment.
fn group_record(
    batches: &[Encoded],
    sequence: u64,
    flushed: u64,
    start: u64,
    salt: u64,
) -> (Vec<u8>, Vec<u64>) {
    let ops: usize = batches.iter().map(|batch| BATCH_HEAD_BYTES + batch.ops.len()).sum();
    let mut record = Vec::with_capacity(RECORD_HEADER_BYTES + padded(GROUP_FIXED_BYTES + ops));
    record.resize(RECORD_HEADER_BYTES, 0);
    encode_group(&mut record, flushed, start, batches.len());
    let (mut base, mut bases) = (start, Vec::with_capacity(batches.len()));
    for batch in batches {
        encode_batch_head(&mut record, base, batch.ops.len());
        record.extend_from_slice(&batch.ops);
        bases.push(base);
        base += batch.records.len() as u64;
    }
    let (head, payload) = record.split_at_mut(RECORD_HEADER_BYTES);
    let stored = length_u32(payload.len());
    let checksum = payload_checksum(payload);
    let (kind, codec) = (RecordKind::Group, Codec::Plain);
    let header = RecordHeader { kind, codec, sequence, stored, raw: stored, checksum };
    head.copy_from_slice(&header.encode_unstamped());
    stamp(head, sequence, salt);
    record.resize(padded(record.len()), 0);
    (record, bases)
}
