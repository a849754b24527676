//! The writing end of the log: groups appended to the current segment, one flush each.
//!
//! The next segment is prepared by a thread of its own, `store-prepare`, when the current one is
//! half full. The first segment after an opening is short and each next one twice as long, up to
//! the configured length, so that it is ready in time. If it is needed earlier, it is used as far
//! as it has been zeroed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::store::commit::encoded::Encoded;
use crate::store::commit::reserve::Reserve;
use crate::store::error::StoreError;
use crate::store::files::segment_path;
use crate::store::options::StoreBuilder;
use crate::store::record::{
    BATCH_HEAD_BYTES, Codec, GROUP_FIXED_BYTES, LoggedBatch, LoggedGroup, RECORD_HEADER_BYTES,
    RecordHeader, RecordKind, SEGMENT_HEADER_BYTES, encode_batch_head, encode_group, length_u32,
    padded, payload_checksum, stamp,
};
use crate::store::segment::{Segment, SegmentContext, Segments};
use crate::store::stats::Counters;
use crate::store::vfs::write_all_at;
use crate::time::SharedClock;

/// While groups are usually up to this length, segments are zeroed before use. A flush of a page
/// into a zeroed segment took 0.6 of the time of one into space that was only allocated. Large
/// groups gain less than writing everything twice costs.
const ZEROED_GROUP_BYTES: u64 = 512 << 10;
/// Length of the first segment after an opening.
const FIRST_BYTES: u64 = 8 << 20;
/// On a full disk, segments for operations that free space have a multiple of this length.
const SHORT_BYTES: u64 = 64 << 10;

/// The end of the log. Owned by the leader.
#[derive(Debug)]
pub(in crate::store) struct Log {
    context: SegmentContext,
    clock: SharedClock,
    segment_bytes: u64,
    segments: Arc<Segments>,
    counters: Arc<Counters>,
    reserve: Arc<Reserve>,
    current: Option<Current>,
    spare: Option<Spare>,
    next_id: u32,
    /// Sequence of the last durable group.
    flushed: u64,
    /// Usual length of a group, in bytes.
    usual: u64,
}

#[derive(Debug)]
struct Current {
    segment: Arc<Segment>,
    /// Where the next group begins.
    tail: u64,
    /// The next group begins another segment, if there is room for one.
    ends: bool,
}

/// A segment that is being prepared by a thread of its own, so that the writer need not wait.
#[derive(Debug)]
struct Spare {
    id: u32,
    /// Set when the segment is needed at once: it is then used as far as it is zeroed.
    skip_zeroing: Arc<AtomicBool>,
    thread: JoinHandle<Result<Segment, StoreError>>,
}

/// Why a group was not appended.
#[derive(Debug)]
pub(in crate::store) enum AppendError {
    /// There is no room for another segment. Nothing was written: the log is as it was.
    Refused(Vec<Encoded>, StoreError),
    /// A write or a flush failed: what the disk holds is unknown, and nothing may be appended.
    Failed(StoreError),
}

impl From<AppendError> for StoreError {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Refused(_, error) | AppendError::Failed(error) => error,
        }
    }
}

impl Log {
    /// A log that goes on after group `flushed`, in segments from `next_id` on.
    pub(in crate::store) fn new(
        options: &StoreBuilder,
        context: SegmentContext,
        segments: Arc<Segments>,
        counters: Arc<Counters>,
        reserve: Arc<Reserve>,
        next_id: u32,
        flushed: u64,
    ) -> Self {
        Self {
            context,
            clock: Arc::clone(&options.clock),
            segment_bytes: options.segment_bytes,
            segments,
            counters,
            reserve,
            current: None,
            spare: None,
            next_id,
            flushed,
            usual: 0,
        }
    }

    /// Appends the batches as the next group and flushes it. Batches that free space may use the
    /// reserve.
    pub(in crate::store) fn append(
        &mut self,
        batches: Vec<Encoded>,
    ) -> Result<LoggedGroup, AppendError> {
        let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
        let ops: usize = batches.iter().map(|batch| BATCH_HEAD_BYTES + batch.ops.len()).sum();
        let closing = RECORD_HEADER_BYTES + padded(GROUP_FIXED_BYTES + ops);
        let length = (records + closing) as u64;
        let essential = batches.iter().all(|batch| batch.frees_space);
        match self.room_for(length, essential) {
            Ok((segment, start)) => {
                self.append_at(batches, &segment, start, length).map_err(AppendError::Failed)
            }
            Err(error) if error.is_for_now() => Err(AppendError::Refused(batches, error)),
            Err(error) => Err(AppendError::Failed(error)),
        }
    }

    fn append_at(
        &mut self,
        mut batches: Vec<Encoded>,
        segment: &Segment,
        start: u64,
        length: u64,
    ) -> Result<LoggedGroup, StoreError> {
        let sequence = self.flushed + 1;
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
        let took = self.clock.monotonic().saturating_sub(before);
        self.counters.flushed(took, batches.len());

        let end = start + length;
        segment.publish(end);
        self.flushed = sequence;
        if let Some(current) = &mut self.current {
            current.tail = end;
        }
        self.usual = match self.usual {
            0 => length,
            usual => usual - usual / 8 + length / 8,
        };
        self.prepare_ahead(end, segment.capacity);
        let (id, salt) = (segment.id, segment.salt);
        let batches = bases
            .into_iter()
            .zip(batches)
            .map(|(base, batch)| {
                let Encoded { ops, records, registrations, .. } = batch;
                LoggedBatch { base, ops, records, _registrations: registrations }
            })
            .collect();
        Ok(LoggedGroup { sequence, segment: id, salt, end, batches, length, took })
    }

    /// Has the next group begin a new segment, unless the disk is full.
    pub(in crate::store) fn end_segment(&mut self) {
        if let Some(current) = &mut self.current {
            current.ends = true;
        }
    }

    /// Ends the log: the spare segment is removed.
    pub(in crate::store) fn close(mut self) {
        let Some(spare) = self.spare.take() else { return };
        spare.skip_zeroing.store(true, Ordering::Relaxed);
        if let Ok(Ok(segment)) = spare.thread.join() {
            self.discard(segment);
        }
    }

    /// The segment and the place for a group of this length.
    fn room_for(
        &mut self,
        length: u64,
        essential: bool,
    ) -> Result<(Arc<Segment>, u64), StoreError> {
        let needed = SEGMENT_HEADER_BYTES as u64 + length;
        let fits = |current: &&mut Current| current.tail + length <= current.segment.capacity;
        let made = match self.current.as_mut().filter(fits) {
            Some(current) if !current.ends => {
                return Ok((Arc::clone(&current.segment), current.tail));
            }
            Some(current) => {
                current.ends = false;
                let (segment, tail) = (Arc::clone(&current.segment), current.tail);
                match self.next_segment(needed) {
                    Err(error) if error.is_for_now() => return Ok((segment, tail)),
                    made => made,
                }
            }
            None => match self.next_segment(needed) {
                Err(StoreError::NoSpace { .. }) if essential => self.essential_segment(needed),
                made => made,
            },
        };
        let segment = Arc::new(made?);
        self.segments.insert(Arc::clone(&segment));
        let tail = SEGMENT_HEADER_BYTES as u64;
        let current = Current { segment: Arc::clone(&segment), tail, ends: false };
        if let Some(full) = self.current.replace(current) {
            full.segment.release_file();
        }
        Ok((segment, tail))
    }

    /// A segment in the space of the reserve, or else one that is as short as possible.
    fn essential_segment(&mut self, needed: u64) -> Result<Segment, StoreError> {
        if self.reserve.release_to_log() {
            match self.next_segment(needed) {
                Err(StoreError::NoSpace { .. }) => {}
                made => return made,
            }
        }
        let (id, skip_zeroing) = (self.take_id()?, AtomicBool::new(true));
        let bytes = needed.next_multiple_of(SHORT_BYTES);
        Segment::create(&self.context, id, bytes, &skip_zeroing, self.clock.wall())
    }

    /// The spare segment if it is long enough, otherwise a new one.
    fn next_segment(&mut self, needed: u64) -> Result<Segment, StoreError> {
        if let Some(spare) = self.spare.take() {
            spare.skip_zeroing.store(true, Ordering::Relaxed);
            let joined = spare.thread.join();
            let made = joined.map_err(|_panic| StoreError::Panicked {
                path: segment_path(&self.context.dir, spare.id),
            })?;
            match made {
                Ok(segment) if segment.capacity >= needed => return Ok(segment),
                Ok(short) => self.discard(short),
                // There may be room by now.
                Err(error) if error.is_for_now() => {}
                Err(error) => return Err(error),
            }
        }
        let id = self.take_id()?;
        // The first after an opening is short, so that a program that writes little does not wait
        // for the allocation of a long one.
        let first = self.current.is_none();
        let usual = if first { self.segment_bytes.min(FIRST_BYTES) } else { self.segment_bytes };
        let skip_zeroing = AtomicBool::new(!first);
        Segment::create(&self.context, id, usual.max(needed), &skip_zeroing, self.clock.wall())
    }

    /// Has the next segment prepared once the current one is half full, or short.
    fn prepare_ahead(&mut self, tail: u64, capacity: u64) {
        // A segment as short as this was made on a full disk. What is left there is for the index
        // file, which must grow before anything is freed.
        let on_full_disk = capacity < self.segment_bytes.min(FIRST_BYTES);
        let needless = tail < capacity / 2 && capacity >= self.segment_bytes;
        if self.spare.is_some() || on_full_disk || needless {
            return;
        }
        let Ok(id) = self.take_id() else { return };
        let (context, clock) = (self.context.clone(), Arc::clone(&self.clock));
        // At most twice the current one: it must be ready before that is full.
        let capacity = self.segment_bytes.min(capacity.saturating_mul(2));
        let skip_zeroing = Arc::new(AtomicBool::new(self.usual > ZEROED_GROUP_BYTES));
        let told = Arc::clone(&skip_zeroing);
        let work = move || Segment::create(&context, id, capacity, &told, clock.wall());
        match std::thread::Builder::new().name("store-prepare".into()).spawn(work) {
            Ok(thread) => self.spare = Some(Spare { id, skip_zeroing, thread }),
            // The writer makes the segment itself when it needs it, under the next id.
            Err(error) => tracing::warn!(%error, "no thread to prepare a segment"),
        }
    }

    fn take_id(&mut self) -> Result<u32, StoreError> {
        let id = self.next_id;
        let path = || segment_path(&self.context.dir, id);
        let next = id.checked_add(1);
        self.next_id = next.ok_or_else(|| StoreError::corrupt(&path(), 0, "no id is left"))?;
        Ok(id)
    }

    /// Removes a segment that holds nothing. One that stays is removed by the next opening.
    fn discard(&self, segment: Segment) {
        let path = segment.path.clone();
        drop(segment);
        if let Err(error) = self.context.vfs.remove(&path) {
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
