//! Recovery: brings log and index to the same state when a store is opened.
//!
//! 1. Read the log from the watermark on. A damaged record ends its segment; the next segment goes
//!    on if its sequence follows. Every group says which sequence was durable when it was written.
//!    If that is at or above one that was not found, acknowledged data is missing: an error that
//!    names file and offset, never a silent loss. Whole records behind the damage are searched for
//!    to learn this. A sequence that occurs twice is damage, since nothing tells which of the two
//!    was acknowledged. A segment with a damaged header is skipped only if nothing but zeros
//!    follows.
//! 2. Write what was found over itself, verify it again, flush, apply, checkpoint. (After a kill or
//!    a failed flush, what was read may have been in the page cache only, wrongly marked as
//!    written, and may have left the cache since.)
//! 3. Remove the segments that the index does not know, and cut the tails of the others before they
//!    are mapped. Those from the watermark on are flushed: a group that failed and was cut off must
//!    not come back after a power loss, when another one has its sequence. Nothing is cut where a
//!    record of an applied group follows. The log continues in a new segment.
//!
//! A crash at any point leaves a directory that recovers to the same content: until the checkpoint
//! of step 2 the old watermark is in place, and overwritten bytes keep their values. The log needs
//! no room for any of it, so a store can be opened on a full disk. (A copy into a fresh segment
//! would need room for the whole log that is not yet applied.)
//!
//! A segment that is missing or too short is reported, and only the reads that need the lost part
//! fail. A row of the index that does not decode is reported when it is read, and by `check`. It
//! prevents neither its group from being applied nor the store from opening.

use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::store::commit::dedup::{DedupRegistry, Registrations};
use crate::store::commit::log::Log;
use crate::store::commit::reserve::Reserve;
use crate::store::error::StoreError;
use crate::store::files::{INDEX_FILE, parse_segment_name, segment_path};
use crate::store::index::{
    Index, Ledger, Meta, ORPHANS_ID, Range, SegmentRow, View, Watermark, row_key, split_row_key,
};
use crate::store::options::StoreBuilder;
use crate::store::record::{
    GroupPayload, LoggedBatch, LoggedGroup, RECORD_HEADER_BYTES, RecordHeader, RecordKind,
    SEGMENT_HEADER_BYTES,
};
use crate::store::segment::{Segment, SegmentContext, Segments};
use crate::store::stats::Counters;
use crate::store::upkeep::scan::{Found, Scan, ScannedGroup, read_segment_header};
use crate::store::vfs::{OpenMode, Vfs, VfsFile, read_exact_at, write_all_at};

const NO_ID_LEFT: &str = "no id is left for another segment";

/// Bytes read at a time to check that a segment was never written to.
const ZERO_CHECK_BYTES: usize = 1 << 20;

/// A segment file that may hold groups after the watermark.
#[derive(Debug)]
struct Tail {
    id: u32,
    file: Arc<dyn VfsFile>,
    salt: u64,
    end: u64,
    groups: Vec<Span>,
}

/// A group to be applied.
#[derive(Debug, Clone, Copy)]
struct Span {
    sequence: u64,
    start: u64,
    /// Where the closing record begins.
    closing: u64,
    end: u64,
}

/// The parts of a recovered store.
#[derive(Debug)]
pub(in crate::store) struct Recovered {
    pub(in crate::store) log: Log,
    pub(in crate::store) ledger: Ledger,
    pub(in crate::store) index: Index,
    pub(in crate::store) view: View,
    pub(in crate::store) segments: Arc<Segments>,
    pub(in crate::store) counters: Arc<Counters>,
    pub(in crate::store) dedup: Arc<DedupRegistry>,
    pub(in crate::store) reserve: Arc<Reserve>,
}

/// Brings index and log to the same state, and returns both with the new end of the log.
pub(in crate::store) fn recover(
    options: &StoreBuilder,
    context: &SegmentContext,
    index: Index,
    reserve: Arc<Reserve>,
) -> Result<Recovered, StoreError> {
    let (vfs, dir) = (&*options.vfs, options.dir.as_path());
    let (segments, counters) = (Arc::<Segments>::default(), Arc::<Counters>::default());
    let dedup = Arc::<DedupRegistry>::default();
    let ids = segment_ids(vfs, dir)?;
    let meta = index.meta();
    let before = meta.watermark;
    let tails = find_tails(vfs, dir, &ids, meta)?;

    // Above every id ever used: a pointer to a removed segment must not find another one.
    let known = meta.segments.keys().chain(&meta.retired).chain([&before.segment]);
    let newest = ids.iter().chain(known).max().copied().unwrap_or(0);
    let next_id = newest
        .checked_add(1)
        .ok_or_else(|| StoreError::corrupt(&segment_path(dir, newest), 0, NO_ID_LEFT))?;
    let mut ledger = Ledger::new(index.path().to_path_buf(), meta.clone(), Arc::clone(&dedup));
    let base = Arc::new(index.base()?);
    ledger.upgrade(&base)?;
    let view = View { base, sequence: before.sequence, counts: ledger.counts() };
    let mut state = Replay { index, ledger, view };
    state.adopt_orphans()?;
    if tails.iter().any(|tail| !tail.groups.is_empty()) {
        confirm(dir, &tails, &mut state)?;
        let sequence = state.view.sequence;
        tracing::info!(dir = %dir.display(), groups = sequence - before.sequence, "log recovered");
    }
    let Replay { index, mut ledger, view } = state;
    drop(tails);
    clear_leftovers(vfs, dir, &ids, index.meta())?;
    let retired: Vec<u32> = ledger.meta().retired.iter().copied().collect();
    ledger.forget(&retired);
    open_segments(context, index.meta(), &segments)?;
    reserve.keep()?;
    let log = Log::new(
        options,
        context.clone(),
        Arc::clone(&segments),
        Arc::clone(&counters),
        Arc::clone(&reserve),
        next_id,
        view.sequence,
    );
    Ok(Recovered { log, ledger, index, view, segments, counters, dedup, reserve })
}

/// Index and counters while the log is read again.
struct Replay {
    index: Index,
    ledger: Ledger,
    view: View,
}

impl Replay {
    /// Takes over the orphans that an earlier opening left.
    fn adopt_orphans(&mut self) -> Result<(), StoreError> {
        let (start, end) = (row_key(ORPHANS_ID, &[]), row_key(ORPHANS_ID + 1, &[]));
        let bounds = (Bound::Included(start), Bound::Excluded(end));
        let error = |error| StoreError::index(self.index.path(), error);
        let mut range = Range::new(&self.view, bounds).map_err(error)?;
        while let Some(row) = range.next().map_err(error)? {
            if let Some((_, dedup_key)) = split_row_key(row.key()) {
                self.ledger.adopt(dedup_key);
            }
        }
        Ok(())
    }

    fn apply(&mut self, group: &LoggedGroup) -> Result<(), StoreError> {
        let changes = self.ledger.apply(&self.view, group)?;
        self.view.base.active.insert(group.sequence, changes.into_iter());
        self.view.sequence = group.sequence;
        Ok(())
    }

    /// Takes a checkpoint of what was applied.
    fn commit(&mut self) -> Result<(), StoreError> {
        let (delta, meta) = (&self.view.base.active, self.ledger.meta());
        self.index.commit(delta, meta)?;
        self.view.base = Arc::new(self.index.base()?);
        self.view.counts = self.ledger.counts();
        Ok(())
    }
}

/// The ids of the segment files, ascending.
fn segment_ids(vfs: &dyn Vfs, dir: &Path) -> Result<Vec<u32>, StoreError> {
    let names = vfs.list(dir).map_err(|source| StoreError::io("list", dir, source))?;
    let mut ids: Vec<u32> = names.iter().filter_map(|name| parse_segment_name(name)).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// The groups after the watermark, each once, in the order of their sequences.
fn find_tails(
    vfs: &dyn Vfs,
    dir: &Path,
    ids: &[u32],
    meta: &Meta,
) -> Result<Vec<Tail>, StoreError> {
    let (mark, mut tails) = (&meta.watermark, Vec::new());
    let expected = mark.sequence.checked_add(1);
    let mut expected = expected.ok_or_else(|| StoreError::IndexRow {
        path: dir.join(INDEX_FILE),
        reason: "the watermark's sequence is out of range",
    })?;
    // Where the log first broke off, for the error if that turns out to be damage.
    let mut broken = None;
    for id in ids.iter().copied().filter(|id| *id >= mark.segment) {
        let path = segment_path(dir, id);
        let start = if id == mark.segment { mark.offset } else { SEGMENT_HEADER_BYTES as u64 };
        let known = meta.segments.get(&id).map(|row| row.salt);
        let Some(mut tail) = open_tail(vfs, &path, id, known, start)? else { continue };
        let (file, salt, end) = (Arc::clone(&tail.file), tail.salt, tail.end);
        let mut scan = Scan { path: &path, file: &*file, salt, offset: start, end };
        collect(&mut scan, &mut tail, &mut expected, &mut broken)?;
        tails.push(tail);
    }
    Ok(tails)
}

type Broken = Option<(std::path::PathBuf, u64, &'static str)>;

/// Scans one segment. A group after a gap is an error if it knew the missing groups to be durable.
/// Otherwise the log ends before the gap. A sequence must not occur twice, since nothing tells
/// which group was acknowledged.
fn collect(
    scan: &mut Scan<'_>,
    tail: &mut Tail,
    expected: &mut u64,
    broken: &mut Broken,
) -> Result<(), StoreError> {
    loop {
        let start = scan.offset;
        match scan.group()? {
            Ok(group) if group.sequence < *expected => {
                let reason = "two groups have the same sequence";
                return Err(StoreError::corrupt(scan.path, group.start, reason));
            }
            Ok(group) if group.sequence == *expected => {
                *expected += 1;
                *broken = None;
                let ScannedGroup { sequence, start, closing, end, .. } = group;
                tail.groups.push(Span { sequence, start, closing, end });
            }
            Ok(group) => return check_gap(scan.path, &group, *expected, broken),
            // Nothing was written here: the log continues in the next segment, or ends.
            Err(_) if holds_zeros_from(scan.file, scan.path, start, scan.end)? => return Ok(()),
            Err(damage) => {
                broken.get_or_insert((scan.path.to_path_buf(), scan.offset, damage));
                return look_behind(scan, *expected, broken);
            }
        }
    }
}

/// Looks for groups after a damaged record that prove that it was once durable.
fn look_behind(scan: &mut Scan<'_>, expected: u64, broken: &mut Broken) -> Result<(), StoreError> {
    loop {
        let (offset, header, payload) = match scan.record()? {
            Found::Record { offset, header, payload } => (offset, header, payload),
            Found::Damaged(_) if scan.resync()? => continue,
            Found::Damaged(_) | Found::End => return Ok(()),
        };
        if header.kind == RecordKind::Group
            && let Ok(group) = GroupPayload::decode(&payload)
        {
            let (start, flushed, end) = (group.start, group.flushed, scan.offset);
            let (sequence, closing) = (header.sequence, offset);
            let group = ScannedGroup { sequence, flushed, start, end, closing };
            check_gap(scan.path, &group, expected, broken)?;
        }
    }
}

/// Fails if `group` knew the missing group `expected` to be durable.
fn check_gap(
    path: &Path,
    group: &ScannedGroup,
    expected: u64,
    broken: &Broken,
) -> Result<(), StoreError> {
    if group.flushed < expected {
        return Ok(());
    }
    match broken {
        Some((path, offset, reason)) => Err(StoreError::corrupt(path, *offset, reason)),
        None => Err(StoreError::corrupt(path, group.start, "groups before this one are missing")),
    }
}

/// Opens a segment for scanning. `None` if its header was never written, so that nothing can follow
/// it. A damaged header with anything but zeros after it is an error.
fn open_tail(
    vfs: &dyn Vfs,
    path: &Path,
    id: u32,
    known_salt: Option<u64>,
    start: u64,
) -> Result<Option<Tail>, StoreError> {
    let file = vfs
        .open(path, OpenMode::Existing)
        .map_err(|source| StoreError::io("open", path, source))?;
    let end = file.len().map_err(|source| StoreError::io("measure", path, source))?;
    let salt = match read_segment_header(&*file, path, id)?.or(known_salt) {
        Some(salt) => salt,
        None if holds_zeros_from(&*file, path, start, end)? => return Ok(None),
        None => return Err(StoreError::corrupt(path, 0, "segment header is damaged")),
    };
    Ok(Some(Tail { id, file, salt, end, groups: Vec::new() }))
}

/// Whether all bytes of the file from `start` on are zero.
fn holds_zeros_from(
    file: &dyn VfsFile,
    path: &Path,
    start: u64,
    end: u64,
) -> Result<bool, StoreError> {
    let mut buffer = vec![0; ZERO_CHECK_BYTES];
    let mut at = start;
    while at < end {
        let length =
            usize::try_from(end - at).map_or(ZERO_CHECK_BYTES, |n| n.min(ZERO_CHECK_BYTES));
        let part = buffer.get_mut(..length).unwrap_or_default();
        read_exact_at(file, at, part).map_err(|source| StoreError::io("read", path, source))?;
        if part.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}

/// Writes the groups found again in place, flushes and applies them, and takes one checkpoint for
/// all: with several, a crash in between would leave groups in segments before the watermark. Their
/// rows fit into memory, as they did when the groups were written.
fn confirm(dir: &Path, tails: &[Tail], state: &mut Replay) -> Result<(), StoreError> {
    for tail in tails.iter().filter(|tail| !tail.groups.is_empty()) {
        let path = segment_path(dir, tail.id);
        for group in &tail.groups {
            state.apply(&write_again(tail, *group, &path)?)?;
        }
        tail.file.sync_data().map_err(|source| StoreError::io("flush", &path, source))?;
    }
    state.commit()
}

/// Writes a group over itself, so that the next flush makes it durable whatever happened before.
fn write_again(tail: &Tail, group: Span, path: &Path) -> Result<LoggedGroup, StoreError> {
    let Span { sequence, start, closing, end } = group;
    let damaged = |reason| StoreError::corrupt(path, start, reason);
    let (file, salt, length) = (&*tail.file, tail.salt, end - start);
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| damaged("too long"))?];
    read_exact_at(file, start, &mut bytes)
        .map_err(|source| StoreError::io("read", path, source))?;
    write_all_at(file, start, &[&bytes]).map_err(|source| StoreError::io("write", path, source))?;
    // Verify what was just written. The first read may have come from a page that has left the
    // cache since, with other bytes on the disk.
    let changed = || damaged("changed while it was read");
    let mut scan = Scan { path, file, salt, offset: start, end };
    match scan.group()? {
        Ok(group) if group.sequence == sequence && group.end == end => {}
        _ => return Err(changed()),
    }
    let mut scan = Scan { path, file, salt, offset: closing, end };
    let Found::Record { payload, .. } = scan.record()? else { return Err(changed()) };
    let payload = GroupPayload::decode(&payload).map_err(damaged)?;
    let parts = payload.parts().map_err(damaged)?.into_iter();
    let batches = parts.map(|(base, ops)| {
        let (ops, records, registrations) = (ops.to_vec(), Vec::new(), Registrations::default());
        LoggedBatch { base, ops, records, _registrations: registrations }
    });
    let (batches, took, segment) = (batches.collect(), Duration::ZERO, tail.id);
    Ok(LoggedGroup { sequence, segment, salt, end, batches, length, took })
}

/// Removes segments that the index does not know, which hold nothing acknowledged, and cuts the
/// others to their used length. Nothing is mapped yet. A group that failed and was cut off must not
/// come back when others have its sequence, so the cuts that the next recovery relies on are
/// flushed, including earlier ones.
fn clear_leftovers(vfs: &dyn Vfs, dir: &Path, ids: &[u32], meta: &Meta) -> Result<(), StoreError> {
    let mut removed = false;
    for id in ids {
        let path = segment_path(dir, *id);
        if let Some(row) = meta.segments.get(id) {
            let file = vfs
                .open(&path, OpenMode::Existing)
                .map_err(|source| StoreError::io("open", &path, source))?;
            let length = file.len().map_err(|source| StoreError::io("measure", &path, source))?;
            if length > row.used && !applied_behind(&*file, &path, row, &meta.watermark)? {
                file.set_len(row.used).map_err(|source| StoreError::io("cut", &path, source))?;
            }
            if *id >= meta.watermark.segment {
                file.sync_data().map_err(|source| StoreError::io("flush", &path, source))?;
            }
        } else {
            vfs.remove(&path).map_err(|source| StoreError::io("remove", &path, source))?;
            removed = true;
        }
    }
    if removed {
        vfs.sync_dir(dir).map_err(|source| StoreError::io("flush", dir, source))?;
    }
    Ok(())
}

/// Whether a record of an applied group follows where the segment ends according to the index. Then
/// the index is damaged, and nothing may be cut off.
fn applied_behind(
    file: &dyn VfsFile,
    path: &Path,
    row: &SegmentRow,
    mark: &Watermark,
) -> Result<bool, StoreError> {
    let mut head = [0; RECORD_HEADER_BYTES];
    match read_exact_at(file, row.used, &mut head) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
        Err(source) => return Err(StoreError::io("read", path, source)),
    }
    let header = RecordHeader::decode(&head, row.salt);
    let applied = header.is_ok_and(|header| header.sequence <= mark.sequence);
    if applied {
        let (path, used) = (path.display(), row.used);
        tracing::error!(%path, used, "segment not cut: it has applied groups that the index does not know");
    }
    Ok(applied)
}

/// Opens the segments that the index knows. One that is missing or too short is only reported, so
/// that the rest stays readable.
fn open_segments(
    context: &SegmentContext,
    meta: &Meta,
    segments: &Segments,
) -> Result<(), StoreError> {
    for (id, row) in &meta.segments {
        if segments.get(*id).is_some() {
            continue;
        }
        match Segment::open(context, *id, row.salt, row.used) {
            Ok(segment) => {
                if segment.capacity < row.used {
                    let (path, found) = (segment.path.display(), segment.capacity);
                    tracing::error!(%path, found, expected = row.used, "segment is truncated");
                }
                segments.insert(Arc::new(segment));
            }
            Err(StoreError::Io { path, source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                tracing::error!(path = %path.display(), "segment is missing");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
