//! Reclaiming space: the live records of segments with much dead data are copied to the end of the
//! log, and the segments retired.
//!
//! A copy is an ordinary group whose operations are moves: a row is pointed to the copy only if it
//! still points to the original, so a value deleted or replaced meanwhile does not come back. To
//! find the live records, the operations in the segment's group records are compared with the rows
//! of their keys. A segment with no live record is retired by the next checkpoint without being
//! read.
//!
//! What a segment has beyond its live records and the operations that would move them is dead:
//! copying frees just that. (Without the operations, segments of small values would look dead for
//! ever and be copied again and again.) Space is reclaimed above 15 % of the live bytes and one
//! segment. Above 24 %, not counting what was logged since the last checkpoint, each commit waits
//! up to 50 ms until there is less, unless the last attempt freed nothing.
//!
//! One thread at a time reclaims, in the background or for `compact`: two that copied the same
//! records would leave the copies of one behind as dead. Candidates lie before the log's end and
//! have more than a tenth dead, the emptiest first; four of them, or one segment's worth of live
//! bytes, are copied between two checkpoints. Every record is verified before it is copied. A
//! damaged value stays where it is, a damaged record of a group ends the copying; such a segment
//! stays, and is tried again after the next opening.
//!
//! Maps are read without advice to give pages back: the file goes at the next checkpoint, and its
//! pages with it. `check` and `backup`, which remove nothing, give theirs back.

use std::cmp::Reverse;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::store::commit::encoded::Encoded;
use crate::store::commit::queue::Submitter;
use crate::store::core::Core;
use crate::store::error::StoreError;
use crate::store::index::{Row, SegmentRow, View, dedup_key, row_key, split_row_key};
use crate::store::record::{
    Action, GroupPayload, Op, Ops, Pointer, RecordKind, SEGMENT_HEADER_BYTES,
};
use crate::store::segment::Segment;
use crate::store::upkeep::policy;
use crate::store::upkeep::scan::{Found, Scan};

/// Bytes copied in one group: few enough not to delay commits for long.
const COPY_BYTES: usize = 512 << 10;
/// Segments copied between two checkpoints.
const SEGMENTS_AT_ONCE: usize = 4;
/// Expired keys removed in one batch.
const SWEEP_KEYS: usize = 1000;
/// How long to wait for a checkpoint.
const CHECKPOINT_DEADLINE: Duration = Duration::from_mins(5);
/// How long compacting waits for another thread that reclaims.
const TURN_DEADLINE: Duration = Duration::from_mins(10);

/// Reclaims space until it is not worth it any more, or another thread does.
pub(in crate::store) fn run(core: &Core) {
    while let Some(_turn) = core.maintenance.copy_lock.try_lock()
        && policy::is_due(core.space())
        && !core.maintenance.is_stopped()
        && !core.queue.is_ending()
    {
        let candidates = candidates(core, 10, end(core));
        let copied = copy_all(core, &candidates).unwrap_or_else(|error| {
            tracing::warn!(error = &error as &dyn Error, "space not reclaimed");
            0
        });
        core.maintenance.gained(copied > 0);
        if copied == 0 {
            break;
        }
        core.throttle(policy::lags(core.space(), 0));
    }
    core.throttle(false);
}

/// The result of [`Store::compact`](crate::store::Store::compact).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CompactReport {
    /// Keys removed because they had expired.
    pub expired: u64,
    /// Bytes of segments before.
    pub bytes_before: u64,
    /// Bytes of segments after. Files that are still being read are removed later.
    pub bytes_after: u64,
}

/// Reclaims everything that can be, however little.
pub(in crate::store) fn compact(core: &Core) -> Result<CompactReport, StoreError> {
    // Two that copied the same records would leave the copies of one behind as dead.
    let copy_lock = core.maintenance.copy_lock.try_lock_for(TURN_DEADLINE);
    let _turn = copy_lock.ok_or_else(|| core.queue.timeout("compact", TURN_DEADLINE))?;
    let used = || core.published.read().counts.totals.used;
    let mut report = CompactReport { bytes_before: used(), ..CompactReport::default() };
    report.expired = sweep(core)?;
    // The newest segment is compacted too, so another one must be begun.
    begin_segment(core)?;
    let end = end(core);
    while copy_all(core, &candidates(core, 1, end))? > 0 {}
    core.checkpoint(true, CHECKPOINT_DEADLINE)?;
    // The first checkpoint retires the segments, the second one is taken after their files are
    // removed.
    core.checkpoint(false, CHECKPOINT_DEADLINE)?;
    report.bytes_after = used();
    Ok(report)
}

/// Begins a new segment.
fn begin_segment(core: &Core) -> Result<(), StoreError> {
    if let Some(writer) = &mut *core.writer.lock() {
        writer.log.end_segment();
    }
    // An empty group, so that the end of the log moves to the new segment, if there is room for
    // one.
    let number = core.queue.submit(Encoded::freeing(Vec::new()), Submitter::Internal)?;
    core.wait_applied(number, "begin a segment")
}

/// The segment at the log's end.
fn end(core: &Core) -> u32 {
    core.writer.lock().as_ref().map_or(0, |writer| writer.ledger.meta().watermark.segment)
}

/// Segments before `end` with more than `percent` of dead bytes, the emptiest first. Copies go to
/// segments from `end` on, so no copy is copied again.
fn candidates(core: &Core, percent: u64, end: u32) -> Vec<(u32, SegmentRow)> {
    let writer = core.writer.lock();
    let Some(writer) = &*writer else { return Vec::new() };
    let meta = writer.ledger.meta();
    let broken = core.counters.broken.lock();
    let sealed = meta.segments.iter().filter(|(id, _)| **id < end && !broken.contains(*id));
    let worth = sealed.filter(|(_, row)| row.dead() * 100 > row.used * percent);
    let mut candidates: Vec<_> = worth.map(|(id, row)| (*id, *row)).collect();
    candidates.sort_by_key(|(_, row)| Reverse(row.dead() * 1000 / row.used.max(1)));
    candidates
}

/// Copies the live records of the first few segments, has these retired, and returns their number.
fn copy_all(core: &Core, candidates: &[(u32, SegmentRow)]) -> Result<usize, StoreError> {
    let (mut done, mut copied, mut full) = (0, 0, None);
    for (id, row) in candidates {
        if done >= SEGMENTS_AT_ONCE || copied >= core.options.segment_bytes {
            break;
        }
        if row.live > 0 {
            let Some(segment) = core.segments.get(*id) else {
                core.counters.broken.lock().insert(*id);
                continue;
            };
            match copy_live(core, &segment, row.used) {
                Ok(()) => {}
                // The damaged record stays where it is, and so does its segment.
                Err(error @ StoreError::Corrupt { .. }) => {
                    tracing::error!(error = &error as &dyn Error, "segment not reclaimed");
                    core.counters.broken.lock().insert(*id);
                }
                // The checkpoint below frees the segments copied before.
                Err(error @ StoreError::Refused { .. }) => {
                    full = Some(error);
                    break;
                }
                Err(error) => return Err(error),
            }
            copied += row.live;
        }
        done += 1;
    }
    if done > 0 || full.is_some() {
        core.checkpoint(false, CHECKPOINT_DEADLINE)?;
        give_up_on_what_stayed(core, candidates.iter().take(done));
    }
    match full {
        Some(error) if done == 0 => Err(error),
        _ => Ok(done),
    }
}

/// Excludes the segments that still count live records after all that could be found were copied,
/// as with a truncated file. Otherwise they would be chosen for ever.
fn give_up_on_what_stayed<'a>(core: &Core, copied: impl Iterator<Item = &'a (u32, SegmentRow)>) {
    let writer = core.writer.lock();
    let Some(writer) = &*writer else { return };
    let segments = &writer.ledger.meta().segments;
    let stayed = copied.map(|(id, _)| *id).filter(|id| segments.contains_key(id));
    core.counters.broken.lock().extend(stayed);
}

/// Copies the live records of a segment to the end of the log. Damage ends it, after everything
/// before the damage is copied.
fn copy_live(core: &Core, segment: &Arc<Segment>, used: u64) -> Result<(), StoreError> {
    let file = segment.file()?;
    let (path, start): (&Path, u64) = (&segment.path, SEGMENT_HEADER_BYTES as u64);
    let end = used.min(segment.flushed());
    let mut scan = Scan { path, file: &*file, salt: segment.salt, offset: start, end };
    let mut copier = Copier { core, segment, batch: Encoded::freeing(core.buffers.take()) };
    let mut damage = None;
    loop {
        match scan.record_of(RecordKind::Group)? {
            Found::End => break,
            Found::Record { payload, .. } => {
                let view = core.view()?;
                if let Err(error) = copier.group(&view, &payload) {
                    if !matches!(error, StoreError::Corrupt { .. }) {
                        return Err(error);
                    }
                    damage.get_or_insert(error);
                }
            }
            Found::Damaged(reason) => {
                damage.get_or_insert(StoreError::corrupt(path, scan.offset, reason));
                break;
            }
        }
    }
    copier.write()?;
    damage.map_or(Ok(()), Err)
}

/// Copying one segment.
struct Copier<'a> {
    core: &'a Core,
    segment: &'a Segment,
    batch: Encoded,
}

impl Copier<'_> {
    /// Copies the live records of one group. A damaged value is reported after the others are
    /// copied.
    fn group(&mut self, view: &View, payload: &[u8]) -> Result<(), StoreError> {
        let damaged = |reason| StoreError::corrupt(&self.segment.path, 0, reason);
        let parts = GroupPayload::decode(payload).and_then(|group| group.parts());
        let mut damage = None;
        for (base, bytes) in parts.map_err(damaged)? {
            for op in Ops::new(bytes, base) {
                let op =
                    op.map_err(|reason| StoreError::corrupt(&self.segment.path, base, reason))?;
                match self.op(view, &op) {
                    Err(error @ StoreError::Corrupt { .. }) => {
                        damage.get_or_insert(error);
                    }
                    result => result?,
                }
            }
        }
        damage.map_or(Ok(()), Err)
    }

    fn op(&mut self, view: &View, op: &Op<'_>) -> Result<(), StoreError> {
        let (row_key, placed) = match op.action {
            Action::Record(placed) => (row_key(op.keyspace, op.key), placed),
            Action::Move { to, .. } => (row_key(op.keyspace, op.key), to),
            Action::Hashed(placed, hash) => (dedup_key(op.keyspace, &hash), placed),
            _ => return Ok(()),
        };
        let pointer = Pointer::new(self.segment.id, &placed);
        let now = view.row(&row_key, |row| {
            row.map(Row::decode).transpose().map(|row| row.and_then(|row| row.body.pointer()))
        });
        let now = now.map_err(|error| self.core.index_error(error))?;
        let now = now.map_err(|reason| self.core.damaged_row(reason))?;
        if now != Some(pointer) {
            return Ok(());
        }
        let payload = self.segment.verified(&pointer)?;
        let (keyspace, key) = split_row_key(&row_key).unwrap_or_default();
        self.batch.relocate(keyspace, key, &pointer, &payload);
        if self.batch.len() >= COPY_BYTES {
            self.write()?;
        }
        Ok(())
    }

    /// Writes what was copied, and waits for it.
    fn write(&mut self) -> Result<(), StoreError> {
        if self.batch.count == 0 {
            return Ok(());
        }
        if self.core.maintenance.is_stopped() {
            return Err(self.core.queue.closed());
        }
        let next = Encoded::freeing(self.core.buffers.take());
        let batch = std::mem::replace(&mut self.batch, next);
        self.core.counters.moved(batch.count, batch.records.len());
        let number = self.core.queue.submit(batch, Submitter::Internal)?;
        self.core.wait_applied(number, "move live records")
    }
}

/// Removes the expired keys, and returns their number.
pub(in crate::store) fn sweep(core: &Core) -> Result<u64, StoreError> {
    let (mut removed, mut before) = (0, u64::MAX);
    loop {
        let view = core.view()?;
        // Without progress, stop: what is left may belong to a damaged row.
        let expiring = view.counts.expiring();
        if expiring == 0 || expiring >= before {
            return Ok(removed);
        }
        before = expiring;
        let mut batch = Encoded::freeing(Vec::new());
        core.for_each_expired(&view, core.time.now(), |expires, row_key| {
            if let Some((keyspace, key)) = split_row_key(row_key) {
                batch.expire(keyspace, key, expires);
            }
            (batch.count as usize) < SWEEP_KEYS
        })?;
        let count = batch.count;
        if count == 0 {
            return Ok(removed);
        }
        let number = core.queue.submit(batch, Submitter::Internal)?;
        core.wait_applied(number, "remove expired keys")?;
        removed += u64::from(count);
        if core.maintenance.is_stopped() {
            return Ok(removed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::store::{Keyspace, KeyspaceOptions, PutOptions, Store};

    /// Longer than what is stored in a row itself.
    const LENGTH: usize = 600;

    fn value(number: u8) -> Vec<u8> {
        vec![number; LENGTH]
    }

    /// Whether a key has the value made of this number.
    fn holds(keyspace: &Keyspace, key: &str, number: u8) -> bool {
        keyspace.get(key).unwrap().unwrap() == value(number)
    }

    /// The moves of the live records of a segment as they are now, not yet written.
    fn copied<'a>(core: &'a Core, segment: &'a Segment) -> Copier<'a> {
        let (file, view) = (segment.file().unwrap(), core.view().unwrap());
        let (offset, end) = (SEGMENT_HEADER_BYTES as u64, segment.flushed());
        let mut scan = Scan { path: &segment.path, file: &*file, salt: segment.salt, offset, end };
        let mut copier = Copier { core, segment, batch: Encoded::freeing(Vec::new()) };
        while let Found::Record { payload, .. } = scan.record_of(RecordKind::Group).unwrap() {
            copier.group(&view, &payload).unwrap();
        }
        copier
    }

    #[test]
    fn a_row_that_changed_after_its_record_was_copied_does_not_follow_the_copy() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let core = &*store.handle.core;
        let k = store.keyspace("k", KeyspaceOptions::default()).unwrap();
        let same = store.keyspace("same", KeyspaceOptions::default().deduplicated()).unwrap();
        for key in ["kept", "overwritten", "shortened", "deleted", "put again"] {
            k.put(key, value(1)).unwrap();
        }
        for (key, number) in [("one", 1), ("other", 1), ("deleted", 2), ("put again", 3)] {
            same.put(key, value(number)).unwrap();
        }
        begin_segment(core).unwrap();
        let segment = core.segments.get(1).unwrap();
        let mut copier = copied(core, &segment);
        assert_eq!(copier.batch.count, 5 + 3);

        k.put("overwritten", value(2)).unwrap();
        k.put("shortened", "short").unwrap();
        k.delete("deleted").unwrap();
        k.delete("put again").unwrap();
        k.put("put again", value(3)).unwrap();
        same.put("other", value(4)).unwrap();
        same.delete("deleted").unwrap();
        same.delete("put again").unwrap();
        same.put("put again", value(3)).unwrap();
        copier.write().unwrap();
        let check = || {
            assert!(holds(&k, "kept", 1) && holds(&k, "overwritten", 2));
            assert!(holds(&k, "put again", 3) && !k.contains("deleted").unwrap());
            assert_eq!(k.get("shortened").unwrap().unwrap(), b"short");
            assert!(holds(&same, "one", 1) && holds(&same, "other", 4));
            assert!(holds(&same, "put again", 3) && !same.contains("deleted").unwrap());
            // References and live bytes are counted anew in it.
            let report = store.check().unwrap();
            assert!(report.is_clean(), "{report}");
        };
        check();
        // Every row points elsewhere: the check's checkpoint has taken the segment off the books.
        let known = |id| {
            let writer = core.writer.lock();
            writer.as_ref().unwrap().ledger.meta().segments.contains_key(&id)
        };
        assert!(!known(segment.id) && known(segment.id + 1));
        compact(core).unwrap();
        check();
    }

    #[test]
    fn a_key_put_again_after_it_was_seen_to_expire_stays() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let core = &*store.handle.core;
        let k = store.keyspace("k", KeyspaceOptions::default()).unwrap();
        let hours = |hours| PutOptions::ttl(Duration::from_hours(hours));
        for key in ["as it was", "for ever", "later", "deleted"] {
            k.put_with(key, value(1), hours(1)).unwrap();
        }
        // What a sweep does, in a while.
        let mut batch = Encoded::freeing(Vec::new());
        let then = core.time.now() + 2 * 3_600_000;
        let expired = core.for_each_expired(&core.view().unwrap(), then, |expires, row_key| {
            let (keyspace, key) = split_row_key(row_key).unwrap();
            batch.expire(keyspace, key, expires);
            true
        });
        expired.unwrap();
        assert_eq!(batch.count, 4);

        k.put("for ever", value(2)).unwrap();
        k.put_with("later", value(3), hours(3)).unwrap();
        k.delete("deleted").unwrap();
        let number = core.queue.submit(batch, Submitter::Internal).unwrap();
        core.wait_applied(number, "remove expired keys").unwrap();
        assert!(holds(&k, "for ever", 2) && holds(&k, "later", 3));
        assert_eq!(k.len().unwrap(), 2, "what was seen to expire and did not change is gone");
        let report = store.check().unwrap();
        assert!(report.is_clean(), "{report}");
    }

    #[test]
    fn callers_are_not_slowed_down_when_an_attempt_to_reclaim_space_has_ended() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let core = &*store.handle.core;
        core.throttle(true);
        run(core);
        assert!(!core.throttled.load(Ordering::Relaxed));
    }
}
